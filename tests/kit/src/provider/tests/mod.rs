//! Tests of the mock provider with a plain HTTP client.

mod catalogue;
mod faults;
mod flow;
mod lifetime;
mod pages;
mod tokens;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Response;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::secret::s256;
use super::wire::{WireError, send};
use super::{Client, MockProvider, MockProviderBuilder};

const CALLBACK: &str = "http://127.0.0.1:9/callback";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";

/// A client `demo` and its provider.
struct Party {
    provider: MockProvider,
}

/// The tokens of one response.
struct Tokens {
    access: String,
    refresh: String,
}

impl Party {
    async fn new() -> Self {
        Self::with(MockProvider::builder()).await
    }

    async fn with(builder: MockProviderBuilder) -> Self {
        let client = Client::new("demo", "demo-secret").redirect_uri(CALLBACK);
        Self { provider: builder.client(client).start().await.unwrap() }
    }

    /// An authorization URL; `changes` replace parameters, an empty value removes one.
    fn authorization_url(&self, changes: &[(&str, &str)]) -> String {
        let challenge = s256(VERIFIER);
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", "demo"),
            ("redirect_uri", CALLBACK),
            ("scope", "openid files.read"),
            ("state", "a-state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for &(name, value) in changes {
            params.retain(|(known, _)| *known != name);
            if !value.is_empty() {
                params.push((name, value));
            }
        }
        Url::parse_with_params(&self.provider.url("/authorize"), params).unwrap().into()
    }

    async fn code_of(&self, username: &str, changes: &[(&str, &str)]) -> String {
        let callback = self.provider.approve(&self.authorization_url(changes), username).await.unwrap();
        query(&callback, "code").expect("an approved callback has a code")
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Response<Bytes>, WireError> {
        let basic = format!("Basic {}", STANDARD.encode("demo:demo-secret"));
        self.post_as(path, &[("authorization", &basic)], form).await
    }

    async fn post_as(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Result<Response<Bytes>, WireError> {
        let url = Url::parse(&self.provider.url(path)).unwrap();
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        send("POST", &url, &[headers, &[kind]].concat(), body).await
    }

    async fn exchange(&self, code: &str) -> Response<Bytes> {
        let form =
            [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
        self.post("/token", &form).await.unwrap()
    }

    async fn refresh(&self, token: &str) -> Result<Response<Bytes>, WireError> {
        self.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn connect(&self, username: &str) -> Tokens {
        tokens(&self.exchange(&self.code_of(username, &[]).await).await)
    }

    async fn get(&self, path: &str, token: &str) -> Response<Bytes> {
        let url = Url::parse(&self.provider.url(path)).unwrap();
        send("GET", &url, &[("authorization", &format!("Bearer {token}"))], "").await.unwrap()
    }

    async fn user_of(&self, token: &str) -> Option<String> {
        let response = self.get("/api/me", token).await;
        json(&response)["user"].as_str().map(str::to_owned)
    }
}

fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_default()
}

fn tokens(response: &Response<Bytes>) -> Tokens {
    let response = json(response);
    let text = |member: &str| response[member].as_str().unwrap_or_default().to_owned();
    Tokens { access: text("access_token"), refresh: text("refresh_token") }
}

fn error(response: &Response<Bytes>) -> String {
    json(response)["error"].as_str().unwrap_or_default().to_owned()
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
