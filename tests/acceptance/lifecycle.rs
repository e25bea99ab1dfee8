//! Replaced, deleted, and what DWS is told of it.

use http::Method;

use crate::support::{Form, World, files};

in_both_forms! {
    async fn new_bytes_for_a_known_id_replace_the_document(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        let first = world.session_in_the_end("ann", &id).await;
        let put = world.request_as("ann", Method::PUT, &format!("/api/files/{id}/content"));
        assert_eq!(put.body(files::pdf("second")).send().await.unwrap().status(), 204);
        world.counted("capture", "replaced").await;
        let old = first["document_id"].as_str().unwrap();
        world.dws.lost(old).await;
        world.dws.has_documents(1).await;
        let second = world.session_in_the_end("ann", &id).await;
        assert_ne!(second["document_id"], old);
        assert!(world.dws.content(second["document_id"].as_str().unwrap()).await == files::pdf("second"));
        world.spool_is_empty_in_the_end().await;
    }

    async fn a_replacement_of_an_unknown_id_is_not_taken(form: Form) {
        let world = World::usual().start(form).await;
        world.app.answers(|_, _| crate::support::app::reply(204, &[], ""));
        let put = world.request_as("ann", Method::PUT, "/api/files/99/content");
        assert_eq!(put.body(files::pdf("x")).send().await.unwrap().status(), 204);
        world.counted("capture", "replace_unknown").await;
        world.spool_is_empty_in_the_end().await;
    }

    async fn what_the_app_deletes_goes_from_dws(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/api/files/{id}");
        let refused = world.request_as("bob", Method::DELETE, &path).send().await.unwrap();
        assert_eq!(refused.status(), 403);
        world.session_in_the_end("ann", &id).await;
        let deleted = world.request_as("ann", Method::DELETE, &path).send().await.unwrap();
        assert_eq!(deleted.status(), 204);
        world.dws.has_documents(0).await;
        world.counted("delete", "deleted").await;
    }
}
