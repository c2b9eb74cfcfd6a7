//! The vault follows the contract of vaults.

use grantry_testkit::contract::vault::Vaults;

use super::vault_with;
use crate::AesGcmVault;

fn vaults() -> Vaults<AesGcmVault> {
    Vaults { first: vault_with(1, &[]), rotated: vault_with(2, &[1]), second: vault_with(2, &[]) }
}

grantry_testkit::vault_contract!(vaults);
