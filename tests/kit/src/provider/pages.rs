//! The pages of the provider: plain HTML, no script, one style sheet.

use std::fmt::{self, Write as _};

use axum::response::{Html, IntoResponse};
use http::HeaderName;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::config::{Settings, User};

/// A page with its headers.
type Page = ([(HeaderName, &'static str); 5], Html<String>);

/// An application on the account page.
#[derive(Debug)]
pub(super) struct Application {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) scope: String,
}

/// Headers of every page and redirect.
pub(super) const fn security_headers() -> [(HeaderName, &'static str); 5] {
    [
        // No `form-action`: browsers apply it to the redirect back to the client as well.
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ]
}

/// `GET /style.css`.
pub(super) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("pages.css"))
}

/// The log-in form; `failed` is the user name of a failed attempt.
pub(super) fn log_in(settings: &Settings, request: Option<&str>, failed: Option<&str>) -> Page {
    let alert =
        failed.map_or("", |_| "<p class=\"alert\" role=\"alert\" id=\"problem\">User name or password is wrong.</p>");
    let described = failed.map_or("", |_| " aria-describedby=\"problem\" aria-invalid=\"true\"");
    let hidden = request.map(|id| hidden("request", id)).unwrap_or_default();
    page(
        settings,
        "Log in",
        &format!(
            r#"{alert}
<form method="post" action="/log-in">{hidden}
<label for="username">User name</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus value="{username}"{described}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{described}>
<div class="buttons"><button class="primary">Log in</button></div>
</form>"#,
            username = Text(failed.unwrap_or_default()),
        ),
    )
}

/// The consent form.
pub(super) fn consent(settings: &Settings, user: &User, client: &str, scope: &[String], request: &str) -> Page {
    let client = Text(client);
    let mut choices = String::new();
    for (number, scope) in scope.iter().enumerate() {
        let known = settings.scopes.iter().rev().find(|(name, _)| name == scope);
        let text = Text(known.map_or(scope.as_str(), |(_, text)| text));
        let scope = Text(scope);
        let _infallible = write!(
            choices,
            r#"<li><input type="checkbox" id="scope-{number}" name="scope" value="{scope}" checked>
<label for="scope-{number}">{text} <code>{scope}</code></label></li>"#
        );
    }
    let wants = if scope.is_empty() {
        format!("<p><strong>{client}</strong> asks to confirm that you have an account here.</p>")
    } else {
        format!(
            "<fieldset><legend><strong>{client}</strong> requests access to your account. It may:</legend>
<ul class=\"plain\">{choices}</ul></fieldset>"
        )
    };
    page(
        settings,
        "Allow access?",
        &format!(
            r#"<p>You are logged in as <strong>{name}</strong> ({email}). <a href="/log-in?request={id}">Use another account</a></p>
<form method="post" action="/consent">{hidden}
{wants}
<div class="buttons">
<button class="primary" name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button>
</div>
</form>"#,
            name = Text(&user.name),
            email = Text(&user.email),
            id = Text(request),
            hidden = hidden("request", request),
        ),
    )
}

/// The start page of a logged-in user.
pub(super) fn account(settings: &Settings, user: &User, applications: &[Application]) -> Page {
    let mut list = String::new();
    for Application { id, name, scope } in applications {
        let (hidden, name, scope) = (hidden("client_id", id), Text(name), Text(scope));
        let _infallible = write!(
            list,
            r#"<li><form class="row" method="post" action="/withdraw">{hidden}
<span><strong>{name}</strong> <code>{scope}</code></span>
<button aria-label="Remove the access of {name}">Remove access</button></form></li>"#
        );
    }
    let list = if list.is_empty() {
        "<p>No application has access to your account.</p>".to_owned()
    } else {
        format!("<ul class=\"plain\">{list}</ul>")
    };
    page(
        settings,
        "Your account",
        &format!(
            r#"<p>You are logged in as <strong>{name}</strong> ({email}).</p>
<h2>Applications with access</h2>
{list}
<form method="post" action="/log-out"><div class="buttons"><button>Log out</button></div></form>"#,
            name = Text(&user.name),
            email = Text(&user.email),
        ),
    )
}

/// The start page without a logged-in user.
pub(super) fn welcome(settings: &Settings) -> Page {
    page(
        settings,
        "Welcome",
        "<p>This service stores your files. Applications can use them on your behalf if you allow it.</p>
<div class=\"buttons\"><a class=\"button primary\" href=\"/log-in\">Log in</a></div>",
    )
}

/// The page for a request that cannot be redirected to a client.
pub(super) fn problem(settings: &Settings, why: &str) -> Page {
    page(settings, "This request cannot be completed", &format!("<p role=\"alert\">{}</p>", Text(why)))
}

fn page(settings: &Settings, heading: &str, content: &str) -> Page {
    let title = Text(&settings.title);
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading} – {title}</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header>{title}</header>
<main>
<h1>{heading}</h1>
{content}
</main>
</body>
</html>
"#
    );
    (security_headers(), Html(html))
}

fn hidden(name: &str, value: &str) -> String {
    format!(r#"<input type="hidden" name="{name}" value="{}">"#, Text(value))
}

/// Text that is escaped for element content and quoted attributes.
struct Text<'t>(&'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}
