//! A token server as distribution's specification has it: tokens are JWTs, signed with a key whose certificate the
//! registry trusts (<https://distribution.github.io/distribution/spec/auth/jwt/>).

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const SERVICE: &str = "registry.example.com";
const ISSUER: &str = "tests";

/// A token server that lets one user do everything, and everybody pull what is below `public/`.
pub(crate) struct TokenServer {
    server: MockServer,
    certificate: PathBuf,
}

impl TokenServer {
    /// Starts one for this user; its certificate goes to this directory.
    pub(crate) async fn start(user: &str, password: &str, directory: &Path) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([ISSUER.to_owned()]).unwrap();
        let certificate = directory.join("token-server.pem");
        std::fs::write(&certificate, cert.pem()).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &signing_key.serialize_der(),
            &SystemRandom::new(),
        );
        let server = MockServer::start().await;
        let user = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        let signer = Signer { user, key: key.unwrap(), certificate: BASE64_STANDARD.encode(cert.der()) };
        Mock::given(path("/token")).respond_with(signer).mount(&server).await;
        Self { server, certificate }
    }

    /// What a registry is configured with to send its users here.
    pub(crate) fn settings(&self) -> String {
        let (realm, bundle) = (self.server.uri(), self.certificate.display());
        format!(
            "auth: {{token: {{realm: '{realm}/token', service: '{SERVICE}', issuer: '{ISSUER}', rootcertbundle: '{bundle}'}}}}"
        )
    }

    /// The scopes that tokens were asked for.
    pub(crate) async fn scopes(&self) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        requests.iter().flat_map(scopes).collect()
    }
}

struct Signer {
    user: String,
    key: EcdsaKeyPair,
    /// In DER and base64.
    certificate: String,
}

impl Respond for Signer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let given = request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        if given.as_ref().is_some_and(|given| *given != self.user) {
            return ResponseTemplate::new(401);
        }
        let access: Vec<_> =
            scopes(request).iter().filter_map(|scope| grant(scope, given.is_some())).collect();
        ResponseTemplate::new(200).set_body_json(json!({"token": self.token(&access), "expires_in": 300}))
    }
}

impl Signer {
    fn token(&self, access: &[Value]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let claims = json!({
            "iss": ISSUER, "sub": "", "aud": SERVICE, "exp": now + 300, "nbf": now - 5, "iat": now,
            "jti": now.to_string(), "access": access,
        });
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

fn scopes(request: &Request) -> Vec<String> {
    let scopes = request.url.query_pairs().filter(|(name, _)| name == "scope");
    scopes.flat_map(|(_, scope)| scope.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// What a user, or anybody, may do of this scope.
fn grant(scope: &str, is_user: bool) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let is_public = name.starts_with("public/");
    let allowed = |action: &&str| is_user || (is_public && *action == "pull");
    let actions: Vec<_> = actions.split(',').filter(allowed).collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}
