//! The sandbox as a process, and its control API.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::process::{Process, free_address};

pub const KEY: &str = "a-key-that-no-log-may-show";

pub struct Dws {
    pub address: SocketAddr,
    http: reqwest::Client,
    _process: Process,
}

#[derive(Debug)]
pub struct Document {
    pub id: String,
    pub title: Option<String>,
}

impl Dws {
    pub async fn start() -> Self {
        let address = free_address();
        let listen = address.to_string();
        let process =
            Process::start(&["sandbox", "--listen", &listen, "--key", KEY], address).await;
        Self { address, http: reqwest::Client::new(), _process: process }
    }

    /// `{ "fault": …, … }` for a route; stays until it is cleared.
    pub async fn fault(&self, route: &str, fault: Value) {
        let mut rule = fault;
        rule["route"] = route.into();
        self.post("faults", rule).await;
    }

    pub async fn clear_faults(&self) {
        let reply = self.http.delete(self.control("faults")).send().await.unwrap();
        assert!(reply.status().is_success());
    }

    /// How DWS deviates from the asked-for grant; an empty object takes it back.
    pub async fn quirks(&self, quirks: Value) {
        self.post("quirks", quirks).await;
    }

    pub async fn documents(&self) -> Vec<Document> {
        let state = self.get("state").await;
        let documents = state["documents"].as_array().unwrap();
        documents
            .iter()
            .map(|document| Document {
                id: document["id"].as_str().unwrap().to_owned(),
                title: document["title"].as_str().map(str::to_owned),
            })
            .collect()
    }

    /// Waits until DWS has exactly this many documents.
    pub async fn has_documents(&self, count: usize) {
        self.until(|documents| documents.len() == count, &format!("{count} documents")).await;
    }

    pub async fn has_documents_at_least(&self, count: usize) {
        self.until(|documents| documents.len() >= count, &format!("{count} documents or more"))
            .await;
    }

    /// Waits until DWS has lost this document.
    pub async fn lost(&self, id: &str) {
        self.until(|documents| documents.iter().all(|d| d.id != id), &format!("no {id}")).await;
    }

    async fn until(&self, reached: impl Fn(&[Document]) -> bool, what: &str) {
        let mut documents = Vec::new();
        for _ in 0..400 {
            documents = self.documents().await;
            if reached(&documents) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("DWS never came to {what}: {documents:?}");
    }

    /// Removes a document behind Transom's back.
    pub async fn loses(&self, id: &str) {
        let url = format!("http://{}/viewer/documents/{id}", self.address);
        let request = self.http.delete(url).bearer_auth(KEY).header("accept", "application/json");
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// The bytes that DWS holds.
    pub async fn content(&self, id: &str) -> Vec<u8> {
        let url = self.control(&format!("documents/{id}/content"));
        self.http.get(url).send().await.unwrap().bytes().await.unwrap().to_vec()
    }

    pub async fn sessions_minted(&self) -> u64 {
        self.get("state").await["counters"]["sessions"].as_u64().unwrap()
    }

    /// Every request that came, oldest first.
    pub async fn journal(&self) -> Vec<Value> {
        self.get("journal").await["requests"].as_array().unwrap().clone()
    }

    async fn get(&self, path: &str) -> Value {
        self.http.get(self.control(path)).send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) {
        let reply = self.http.post(self.control(path)).json(&body).send().await.unwrap();
        let status = reply.status();
        assert!(status.is_success(), "{path} {body}: {status} {}", reply.text().await.unwrap());
    }

    fn control(&self, path: &str) -> String {
        format!("http://{}/control/{path}", self.address)
    }
}
