//! The routes, registered once for serving and for the `OpenAPI` document.

use utoipa_axum::router::OpenApiRouter;

use crate::state::App;
use crate::{api, pages};

/// Routes that exist once in every space.
pub(crate) fn in_space() -> OpenApiRouter<App> {
    api::in_space().merge(pages::in_space())
}

/// Routes without a space, or with a space of their own in the path.
pub(crate) fn global() -> OpenApiRouter<App> {
    api::global().merge(pages::global())
}
