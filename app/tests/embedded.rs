//! The example host, run as a host runs it.

#[path = "../examples/embedded.rs"]
#[expect(dead_code, reason = "the `main` of the example")]
mod embedded;

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use grantry::jobs::{Jobs, Periods};
    use std::time::Duration;
    use tower::ServiceExt as _;

    use super::embedded;

    async fn get(router: &Router, path: &str, user: Option<&str>) -> (StatusCode, String) {
        let mut request = Request::get(path).header("host", "127.0.0.1:8090");
        if let Some(user) = user {
            request = request.header("x-user", user);
        }
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_host_mounts_the_router_signs_its_users_in_and_runs_the_jobs() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let app = embedded::build(folder.path(), "127.0.0.1:8090".parse().unwrap()).await.unwrap();
        let jobs = Jobs::spawn(&app, Periods::default());
        let router = embedded::router(&app);
        assert_eq!(get(&router, "/", None).await, (StatusCode::OK, "the host's page".to_owned()));
        let (status, session) = get(&router, "/oauth/api/session", Some("u_ada")).await;
        assert!(status == StatusCode::OK && session.contains("u_ada"), "{status} {session}");
        assert_eq!(get(&router, "/oauth/api/session", Some("u_eve")).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(get(&router, "/oauth/api/actions/connectors", Some("u_ben")).await.0, StatusCode::OK);
        assert_eq!(get(&router, "/oauth/readyz", None).await.0, StatusCode::OK);
        for path in ["/oauth", "/oauth/", "/oauth/s/default/"] {
            assert_eq!(get(&router, path, Some("u_ada")).await.0, StatusCode::OK, "{path}");
        }
        app.begin_shutdown();
        assert_eq!(get(&router, "/oauth/readyz", None).await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(app.drain(Duration::from_secs(10)).await, 0);
        jobs.stop(Duration::from_secs(10)).await;
        app.close().await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn r72_a_host_is_not_ready_while_its_database_is_deleted_or_replaced() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let app = embedded::build(folder.path(), "127.0.0.1:8090".parse().unwrap()).await.unwrap();
        let router = embedded::router(&app);
        let ready = async || {
            app.probe_store().await;
            get(&router, "/oauth/readyz", None).await
        };
        let path = |name: &str| folder.path().join(name);
        assert_eq!(ready().await.0, StatusCode::OK);
        std::fs::rename(path("grantry.db"), path("moved.db")).unwrap();
        let (status, body) = ready().await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("store file missing"), "{status} {body}");
        std::fs::rename(path("moved.db"), path("grantry.db")).unwrap();
        assert_eq!(ready().await.0, StatusCode::OK);
        std::fs::copy(path("grantry.db"), path("copy.db")).unwrap();
        std::fs::rename(path("copy.db"), path("grantry.db")).unwrap();
        let (status, body) = ready().await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("store file replaced"), "{status} {body}");
        app.close().await;
    }
}
