//! The description of the API: where it is found, and that it is true.

use serde_json::Value;

use crate::harness::Server;

const KEPT: &str = include_str!("../../assets/openapi.json");

/// For programs that are told nothing but the address: the same document from the server, the program and the file.
#[test]
fn anybody_gets_the_description() {
    let server = Server::start();
    let reply = server.client().get("/api/schema").is(200);
    assert_eq!(reply.header("content-type"), "application/json");
    let kept: Value = serde_json::from_str(KEPT).unwrap();
    assert!(reply.json() == kept, "/api/schema is not assets/openapi.json");
    assert_eq!(server.cli(&["openapi"]).is(0).out, KEPT);
}

/// A page without anything from elsewhere, and so with the strictest policy.
#[test]
fn the_page_loads_from_this_server_only() {
    let server = Server::start();
    let client = server.client();
    for path in ["/api/docs", "/api/docs/"] {
        let page = client.get(path).is(200);
        let policy = page.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        let text = &page.text;
        assert!(!text.contains("//"), "an address of another site: {text}");
        for loaded in text.split(['"', '\'']).filter(|part| part.starts_with("/api/docs/")) {
            assert!(client.get(loaded).is(200).header("content-type").starts_with("text/"), "{loaded}");
        }
    }
    let viewer = client.get("/api/docs/viewer.js").is(200);
    assert_eq!(viewer.header("content-encoding"), "gzip");
    assert_eq!(viewer.header("cache-control"), "public, max-age=3600");
}
