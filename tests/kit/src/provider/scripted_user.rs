//! A user for tests: logs in, decides, and returns the callback URL without requesting it.

use axum::body::Bytes;
use http::header::{LOCATION, SET_COOKIE};
use http::{Response, StatusCode};
use url::{Url, form_urlencoded};

use super::wire::{WireError, send};

/// Why there is no callback URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptedUserError {
    /// The provider could not be reached, or closed the connection.
    #[error("the provider does not respond")]
    NoAnswer,
    /// The provider returned a page instead of a redirect.
    #[error("the provider returned a page with status {0} instead of a redirect")]
    Stuck(u16),
    /// The user name or the password is wrong.
    #[error("the provider refused the log-in")]
    LogInRefused,
}

impl From<WireError> for ScriptedUserError {
    fn from(_: WireError) -> Self {
        Self::NoAnswer
    }
}

/// A user with an account at the mock provider. Each visit uses a new browser without cookies.
#[derive(Clone, Debug)]
pub struct ScriptedUser {
    username: String,
    password: String,
    scope: Option<Vec<String>>,
}

impl ScriptedUser {
    /// A user who grants all requested scopes.
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: password.to_owned(), scope: None }
    }

    /// Grants only these of the requested scopes.
    #[must_use]
    pub fn granting<'s>(mut self, scope: impl IntoIterator<Item = &'s str>) -> Self {
        self.scope = Some(scope.into_iter().map(str::to_owned).collect());
        self
    }

    /// Logs in, allows access, and returns the URL that the provider redirects to.
    pub async fn approve(&self, authorization_url: &str) -> Result<Url, ScriptedUserError> {
        self.visit(authorization_url, "allow").await
    }

    /// Logs in, denies access, and returns the URL that the provider redirects to.
    pub async fn deny(&self, authorization_url: &str) -> Result<Url, ScriptedUserError> {
        self.visit(authorization_url, "deny").await
    }

    async fn visit(&self, authorization_url: &str, decision: &str) -> Result<Url, ScriptedUserError> {
        let start = Url::parse(authorization_url).map_err(|_| ScriptedUserError::NoAnswer)?;
        let first = send("GET", &start, &[], "").await?;
        let Some(page) = forward(&start, &first)?.stays() else {
            return redirect_target(&start, &first);
        };
        let request = interaction(&page);

        let credentials = [("request", request), ("username", self.username.clone()), ("password", self.password.clone())];
        let log_in = at(&start, "/log-in");
        let logged_in = post(&log_in, "", &credentials).await?;
        if logged_in.status() == StatusCode::UNAUTHORIZED {
            return Err(ScriptedUserError::LogInRefused);
        }
        let cookie = cookie(&logged_in);
        let Some(page) = forward(&log_in, &logged_in)?.stays() else {
            return redirect_target(&log_in, &logged_in);
        };

        let shown = send("GET", &page, &[("cookie", &cookie)], "").await?;
        let mut fields = vec![("request", interaction(&page)), ("decision", decision.to_owned())];
        let offered = offered_scopes(&String::from_utf8_lossy(shown.body()));
        let ticked = offered.into_iter().filter(|scope| self.scope.as_ref().is_none_or(|only| only.contains(scope)));
        fields.extend(ticked.map(|scope| ("scope", scope)));
        let decided = post(&at(&start, "/consent"), &cookie, &fields).await?;
        redirect_target(&start, &decided)
    }
}

/// The target of a redirect.
enum Forward {
    Stays(Url),
    Leaves,
}

impl Forward {
    fn stays(self) -> Option<Url> {
        match self {
            Self::Stays(url) => Some(url),
            Self::Leaves => None,
        }
    }
}

/// The pages of the provider are `/log-in` and `/consent`; every other redirect leaves the provider.
fn forward(from: &Url, response: &Response<Bytes>) -> Result<Forward, ScriptedUserError> {
    let to = redirect_target(from, response)?;
    let is_page = to.origin() == from.origin() && matches!(to.path(), "/log-in" | "/consent");
    Ok(if is_page { Forward::Stays(to) } else { Forward::Leaves })
}

fn redirect_target(from: &Url, response: &Response<Bytes>) -> Result<Url, ScriptedUserError> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    location.and_then(|location| from.join(location).ok()).ok_or(ScriptedUserError::Stuck(response.status().as_u16()))
}

async fn post(url: &Url, cookie: &str, fields: &[(&str, String)]) -> Result<Response<Bytes>, WireError> {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie)];
    send("POST", url, &headers, form).await
}

fn at(provider: &Url, path: &str) -> Url {
    let mut url = provider.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

fn interaction(page: &Url) -> String {
    page.query_pairs().find(|(name, _)| name == "request").map(|(_, id)| id.into_owned()).unwrap_or_default()
}

fn cookie(response: &Response<Bytes>) -> String {
    let set = response.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    set.split(';').next().unwrap_or_default().to_owned()
}

/// The values of the checkboxes of the consent page, with the escapes of [`super::pages`] decoded.
fn offered_scopes(html: &str) -> Vec<String> {
    html.split("name=\"scope\" value=\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(value, _)| {
            value
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        })
        .collect()
}
