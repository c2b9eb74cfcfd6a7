//! The host on actix-web, which calls the use cases directly.

#[path = "../../examples/embed_actix/main.rs"]
pub(crate) mod example;

use actix_web::dev::ServiceResponse;
use actix_web::http::{StatusCode, header};
use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::{App, web};
use grantry_domain::connector::{AuthMode, ConnectorId, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::ConnectorDraft;
use grantry_provider_oauth2::EgressPolicy;
use grantry_testkit::provider::MockProvider;
use serde_json::{Value, json};

use crate::browser::register;

const ORIGIN: &str = "http://127.0.0.1:8092";

/// Ada, an editor, creates the connector to the API of the mock provider.
async fn create_connector(host: &example::Host, provider: &MockProvider) {
    let settings = json!({ "issuer": provider.base_url(), "baseUrl": provider.url("/api"), "scope": "files.read" });
    let draft = ConnectorDraft {
        name: ConnectorName::new("Files").unwrap(),
        profile: ProfileId::new(".oauth2").unwrap(),
        auth_mode: AuthMode::PerUser,
        settings: settings.to_string(),
        client_id: Some("files".to_owned()),
        client_secret: Some(Secret::from_text("files-secret")),
    };
    let (ada, id) = (Actor::Person(UserId::new("u_ada").unwrap()), ConnectorId::new("files").unwrap());
    let created = host.connections.create_connector(&ada, &SpaceId::default_space(), Some(id), draft).await.unwrap();
    assert_eq!(created.redirect_uri.as_deref(), Some("http://127.0.0.1:8092/callback/issuers"));
    register(provider, &created.redirect_uri.unwrap());
}

fn location(response: &ServiceResponse) -> String {
    response.headers().get(header::LOCATION).unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_host_on_another_framework_connects_runs_refreshes_and_disconnects() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let provider = MockProvider::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let egress = EgressPolicy::new(&["*".to_owned()], &[format!("127.0.0.1:{}", provider.port())]).unwrap();
    let host = web::Data::new(example::compose(folder.path(), ORIGIN, egress).await.unwrap());
    create_connector(&host, &provider).await;
    let service = init_service(App::new().app_data(host.clone()).configure(example::routes)).await;
    let send = async |request: TestRequest, user: &str| {
        call_service(&service, request.insert_header(("x-user", user)).to_request()).await
    };
    let get = |path: &str| TestRequest::get().uri(path);
    let post = |path: &str| TestRequest::post().uri(path).insert_header(("sec-fetch-site", "same-origin"));
    let run = async || send(get("/connectors/files/api/me"), "u_ben").await;

    let refused = run().await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let refused: Value = read_body_json(refused).await;
    assert_eq!(refused["code"], "authorization_required");
    let link = refused["startUrl"].as_str().unwrap().strip_prefix(ORIGIN).unwrap();
    assert_eq!(send(get(link), "u_ben").await.status(), StatusCode::OK);

    let forged = TestRequest::post().uri("/connectors/files/connect").insert_header(("sec-fetch-site", "cross-site"));
    assert_eq!(send(forged, "u_ben").await.status(), StatusCode::FORBIDDEN);
    // Browsers omit the other header on plain http.
    let forged = TestRequest::post().uri("/connectors/files/connect").insert_header(("origin", "http://other.example"));
    assert_eq!(send(forged, "u_ben").await.status(), StatusCode::FORBIDDEN);
    let page = send(get("/connectors/files/connect"), "u_ben").await;
    assert_eq!(page.headers().get("content-security-policy").unwrap(), "frame-ancestors 'none'");
    let started = send(post("/connectors/files/connect"), "u_ben").await;
    assert_eq!(started.status(), StatusCode::SEE_OTHER);
    let cookie = started.response().cookies().next().unwrap().into_owned();
    let callback = provider.approve(&location(&started), "bob").await.unwrap();
    let callback = callback.as_str().strip_prefix(ORIGIN).unwrap();
    // Neither another browser nor another user can complete the flow.
    assert_eq!(send(get(callback), "u_ben").await.status(), StatusCode::FORBIDDEN);
    let other_user = send(get(callback).cookie(cookie.clone()), "u_ada").await;
    assert_eq!(other_user.status(), StatusCode::FORBIDDEN);
    let completed = send(get(callback).cookie(cookie.clone()), "u_ben").await;
    assert_eq!((completed.status(), location(&completed).as_str()), (StatusCode::SEE_OTHER, "/?result=connected"));
    let repeated = send(get(callback).cookie(cookie), "u_ben").await;
    assert_eq!(repeated.status(), StatusCode::BAD_REQUEST);

    let escaped = send(get("/connectors/files/api/%2e%2e/me"), "u_ben").await;
    assert_eq!(escaped.status(), StatusCode::BAD_REQUEST, "the path is passed on as it was sent");
    let first: Value = read_body_json(run().await).await;
    assert_eq!(first["user"], "bob@example.test");
    provider.expire_access_tokens();
    let second: Value = read_body_json(run().await).await;
    assert_eq!(second["user"], "bob@example.test");
    assert_ne!(second["token_id"], first["token_id"]);
    assert_eq!(provider.ledger().refreshes().len(), 1);

    let ended = send(post("/connectors/files/disconnect"), "u_ben").await;
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert_eq!(run().await.status(), StatusCode::CONFLICT);
    provider.until(|ledger| ledger.revocations().len() == 2).await;
    assert!(example::background(&host.connections).await.is_empty());
    host.close().await;
}
