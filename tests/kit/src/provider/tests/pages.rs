//! The pages: sessions, remembered consents and escaping.

use super::*;

const NAME: &str = "alice";

async fn browse(party: &Party, path: &str, cookie: &str) -> Response<Bytes> {
    let url = Url::parse(party.provider.base_url()).unwrap().join(path).unwrap();
    send("GET", &url, &[("cookie", cookie)], "").await.unwrap()
}

async fn logged_in(party: &Party) -> String {
    let form = [("username", NAME), ("password", "alice-pw")];
    let response = party.post_as("/log-in", &[], &form).await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

#[tokio::test]
async fn a_session_skips_log_in_and_prompt_login_requires_it_again() {
    let party = Party::new().await;
    let cookie = logged_in(&party).await;
    let leads_to = async |changes: &[(&str, &str)]| {
        let response = browse(&party, &party.authorization_url(changes), &cookie).await;
        response.headers()["location"].to_str().unwrap().split('?').next().unwrap().to_owned()
    };
    assert_eq!(leads_to(&[]).await, "/consent");
    assert_eq!(leads_to(&[("prompt", "login")]).await, "/log-in");
    assert_eq!(leads_to(&[("prompt", "none")]).await, CALLBACK);
}

#[tokio::test]
async fn consent_is_remembered_only_if_configured_and_never_with_prompt_consent() {
    for (remember, expected) in [(true, CALLBACK), (false, "/consent")] {
        let party = Party::with(MockProvider::builder().remember_consent(remember)).await;
        party.connect(NAME).await;
        let cookie = logged_in(&party).await;
        let location = |response: &Response<Bytes>| {
            response.headers()["location"].to_str().unwrap().split('?').next().unwrap().to_owned()
        };
        let response = browse(&party, &party.authorization_url(&[]), &cookie).await;
        assert_eq!(location(&response), expected);
        let asked = party.authorization_url(&[("prompt", "consent")]);
        assert_eq!(location(&browse(&party, &asked, &cookie).await), "/consent");
        let wider = party.authorization_url(&[("scope", "openid files.read files.write")]);
        assert_eq!(location(&browse(&party, &wider, &cookie).await), "/consent");
    }
}

#[tokio::test]
async fn a_forged_consent_form_grants_no_more_than_was_requested() {
    let party = Party::new().await;
    let cookie = logged_in(&party).await;
    let page = browse(&party, &party.authorization_url(&[]), &cookie).await;
    let page = Url::parse(&party.provider.url(page.headers()["location"].to_str().unwrap()));
    let id = query(&page.unwrap(), "request").unwrap();
    let form = [("request", id.as_str()), ("decision", "allow"), ("scope", "openid"), ("scope", "files.write")];
    let no_session = party.post_as("/consent", &[], &form).await.unwrap();
    assert!(no_session.headers()["location"].to_str().unwrap().starts_with("/log-in"));
    let response = party.post_as("/consent", &[("cookie", &cookie)], &form).await.unwrap();
    let callback = Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
    let tokens = party.exchange(&query(&callback, "code").unwrap()).await;
    assert_eq!(json(&tokens)["scope"], "openid");
}

#[tokio::test]
async fn values_of_a_request_are_escaped() {
    let party = Party::new().await;
    party.provider.register(Client::new("demo", "demo-secret").redirect_uri(CALLBACK).name("<b>\"Demo\" & 'sons'</b>"));
    let cookie = logged_in(&party).await;
    let url = party.authorization_url(&[("scope", "<script>alert(1)</script>")]);
    let response = browse(&party, &url, &cookie).await;
    let page = text(&browse(&party, response.headers()["location"].to_str().unwrap(), &cookie).await);
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    assert!(page.contains("&lt;b&gt;&quot;Demo&quot; &amp; &#39;sons&#39;"), "{page}");

    let wrong = [("username", "\"><script>"), ("password", "x")];
    let response = party.post_as("/log-in", &[], &wrong).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(text(&response).contains("role=\"alert\"") && !text(&response).contains("<script"));
}

#[tokio::test]
async fn every_page_forbids_scripts_and_frames() {
    let party = Party::new().await;
    for path in ["/", "/log-in", "/authorize", "/consent?request=unknown"] {
        let response = browse(&party, path, "").await;
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{path}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
    }
    assert_eq!(browse(&party, "/style.css", "").await.headers()["content-type"], "text/css; charset=utf-8");
}

#[tokio::test]
async fn the_account_page_lists_applications_and_withdraws_their_access() {
    let party = Party::new().await;
    let tokens = party.connect(NAME).await;
    let cookie = logged_in(&party).await;
    assert!(text(&browse(&party, "/", &cookie).await).contains("Remove access"));

    party.post_as("/withdraw", &[], &[("client_id", "demo")]).await.unwrap();
    assert!(party.provider.accepts_refresh_token(&tokens.refresh), "no user was logged in");
    party.post_as("/withdraw", &[("cookie", &cookie)], &[("client_id", "demo")]).await.unwrap();
    assert!(!party.provider.accepts_refresh_token(&tokens.refresh));

    party.post_as("/log-out", &[("cookie", &cookie)], &[]).await.unwrap();
    assert!(text(&browse(&party, "/", &cookie).await).contains("Welcome"));
}
