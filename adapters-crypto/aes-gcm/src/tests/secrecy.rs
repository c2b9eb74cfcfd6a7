//! Types that contain secrets cannot be printed, copied or compared, and are wiped on drop.

use std::fmt::{Debug, Display};
use std::marker::PhantomData;

use grantry_domain::authorization::{ClientSecretPayload, FlowSecrets, GrantSecrets};
use grantry_domain::ports::Decrypted;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::*;
use crate::keyring::SealingKey;

/// Whether a type lacks a trait that `String` implements, as a constant. The inherent constant exists only for types with
/// the trait and shadows the one of the blanket implementation; `String` proves for each trait that the probe works.
macro_rules! lacks {
    ($type:ty: $trait:path) => {{
        struct Probe<T>(PhantomData<T>);
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T> Otherwise for Probe<T> {}
        impl<T: $trait> Probe<T> {
            const HAS: bool = true;
        }
        Probe::<String>::HAS && !Probe::<$type>::HAS
    }};
}

macro_rules! assert_opaque {
    ($($type:ty),+ $(,)?) => {
        $(const {
            assert!(lacks!($type: Debug), concat!(stringify!($type), " can be printed"));
            assert!(lacks!($type: Display), concat!(stringify!($type), " can be displayed"));
            assert!(lacks!($type: Clone), concat!(stringify!($type), " can be copied"));
            assert!(lacks!($type: PartialEq), concat!(stringify!($type), " can be compared"));
        })+
    };
}

#[test]
fn r77_secret_types_cannot_be_printed_copied_or_compared() {
    assert_opaque!(
        Secret,
        Decrypted,
        FlowSecrets,
        GrantSecrets,
        ClientSecretPayload,
        RootKey,
        SealingKey,
        Keyring,
        AesGcmVault
    );
}

#[test]
fn r77_keys_are_wiped_on_drop() {
    fn wiped<T: ZeroizeOnDrop>() {}
    // The content of root keys and secrets, the hash state of the derivation, and the cipher with its key schedule.
    wiped::<Zeroizing<Vec<u8>>>();
    wiped::<Sha256>();
    wiped::<aes_gcm::Aes256Gcm>();
}
