//! The account pages: the logged-in user, the applications with access, log-out and withdrawal of access.

use std::sync::Arc;

use axum::extract::{RawForm, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;

use super::authorize::{first, pairs, to_page};
use super::core::Core;
use super::pages;
use super::secret::Digest;
use super::session::{session, session_cookie, session_user, set_cookie};

/// `GET /`: the logged-in user and the applications that have access.
pub(super) async fn home(State(core): State<Arc<Core>>, headers: HeaderMap) -> Response {
    let Some(user) = session_user(&core, &headers) else {
        return pages::welcome(&core.settings).into_response();
    };
    let mut applications: Vec<(String, String)> = core.read(|state, _| {
        let live = state.grants.values().filter(|grant| grant.ended.is_none());
        live.filter(|grant| grant.username.as_deref() == Some(&user.username))
            .map(|grant| (grant.client_id.clone(), grant.scope.join(" ")))
            .collect()
    });
    applications.sort();
    applications.dedup();
    let named = applications.into_iter().map(|(id, scope)| {
        let name = core.client(&id).map_or_else(|| id.clone(), |client| client.name);
        pages::Application { id, name, scope }
    });
    pages::account(&core.settings, user, &named.collect::<Vec<_>>()).into_response()
}

/// `POST /withdraw`: the user withdraws the access of an application.
pub(super) async fn withdraw(State(core): State<Arc<Core>>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    if let (Some(username), Some(client_id)) = (session(&core, &headers), first(&pairs(&form), "client_id")) {
        core.change(|state, _| state.withdraw(&username, Some(client_id)));
    }
    to_page("/")
}

/// `POST /log-out`.
pub(super) async fn log_out(State(core): State<Arc<Core>>, headers: HeaderMap) -> Response {
    if let Some(cookie) = session_cookie(&core, &headers) {
        core.change(|state, _| state.sessions.remove(&Digest::of(cookie)));
    }
    let mut response = to_page("/");
    set_cookie(&core, &mut response, "", "; Max-Age=0");
    response
}
