//! Pages that the server renders: callback and results, confirm, launch, log-in, and a plain list of connectors.
//!
//! Templates escape all values. No page has inline code; its policy names the exact URLs of script and style sheet. No text of
//! a provider is shown.

mod assets;
mod callback;
mod callback_params;
mod confirm;
mod console;
mod context;
mod home;
mod launch;
mod login;
mod message;
mod result;
mod texts;

use utoipa_axum::router::OpenApiRouter;

#[cfg(feature = "fuzzing")]
pub(crate) use self::callback_params::CallbackParams;
pub(crate) use self::console::fallback;
pub(crate) use self::context::PageContext;
#[cfg(feature = "fuzzing")]
pub(crate) use self::context::language_of;
pub(crate) use self::message::problem_page;
use crate::state::App;

/// Pages that exist once in every space.
pub(crate) fn in_space() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(confirm::routes()).merge(launch::routes()).merge(callback::routes())
}

/// Pages without a space, or with a space of their own in the path.
pub(crate) fn global() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(result::routes()).merge(assets::routes()).merge(login::routes()).merge(home::routes())
}
