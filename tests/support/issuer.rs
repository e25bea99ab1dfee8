//! An OpenID-like issuer: metadata, keys that rotate, and tokens.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::process::free_address;
use super::tokens;

pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: Option<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    keys: Vec<Key>,
    /// Published, and not used yet.
    next: Option<Key>,
    made: usize,
    fetches: usize,
}

#[derive(Clone)]
struct Key {
    kid: String,
    public: Value,
    private: EncodingKey,
}

impl Issuer {
    pub async fn start() -> Self {
        let shared = Arc::default();
        let mut issuer = Self { address: free_address(), shared, server: None };
        issuer.rotate(1);
        issuer.serve().await;
        issuer
    }

    /// Its `iss`.
    pub fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Publishes the key that the next rotation will use.
    pub fn announce(&self) {
        let mut shared = self.shared.lock().unwrap();
        let key = shared.new_key();
        shared.next = Some(key);
    }

    /// Signs with a new key from now on; of the old ones, the newest `keep - 1` stay published.
    pub fn rotate(&self, keep: usize) {
        let mut shared = self.shared.lock().unwrap();
        let next = shared.next.take();
        let key = next.unwrap_or_else(|| shared.new_key());
        shared.keys.insert(0, key);
        shared.keys.truncate(keep);
    }

    pub fn token(&self, user: &str) -> String {
        let key = self.shared.lock().unwrap().keys[0].clone();
        let header = Header { kid: Some(key.kid), ..Header::new(Algorithm::ES256) };
        let now = tokens::now();
        let claims = json!({ "sub": user, "iss": self.name(), "aud": "my-app", "iat": now, "exp": now + 3600 });
        jsonwebtoken::encode(&header, &claims, &key.private).unwrap()
    }

    /// How often the keys were fetched.
    pub fn fetches(&self) -> usize {
        self.shared.lock().unwrap().fetches
    }

    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    pub async fn serve(&mut self) {
        let listener = tokio::net::TcpListener::bind(self.address).await.unwrap();
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .with_state((self.name(), self.shared.clone()));
        self.server =
            Some(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
    }
}

impl Shared {
    fn new_key(&mut self) -> Key {
        self.made += 1;
        Key::new(format!("key-{}", self.made))
    }
}

type Known = State<(String, Arc<Mutex<Shared>>)>;

async fn metadata(State((name, _)): Known) -> String {
    json!({ "issuer": name, "jwks_uri": format!("{name}/keys") }).to_string()
}

async fn keys(State((_, shared)): Known) -> String {
    let mut shared = shared.lock().unwrap();
    shared.fetches += 1;
    let keys: Vec<Value> =
        shared.next.iter().chain(&shared.keys).map(|key| key.public.clone()).collect();
    json!({ "keys": keys }).to_string()
}

impl Key {
    fn new(kid: String) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": encode(x), "y": encode(y),
        });
        let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { kid, public, private }
    }
}
