//! Who may pull from a mocked registry, and how they are asked
//! ([token specification](https://distribution.github.io/distribution/spec/auth/token/)).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answer::Answer;
use super::request::Asked;

/// Where tokens are handed out.
pub(super) const TOKEN_PATH: &str = "/token";
const SERVICE: &str = "mock";

/// What a mocked registry asks of those who pull.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// Nothing.
    #[default]
    Open,
    /// A user and a password with every request.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token from the registry's own token endpoint, which anybody gets.
    AnonymousToken,
    /// A token from the registry's own token endpoint, which only this user gets.
    Token {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

impl Auth {
    /// [`Basic`](Self::Basic), for this user.
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic { user: user.to_owned(), password: password.to_owned() }
    }

    /// [`Token`](Self::Token), for this user.
    pub fn token(user: &str, password: &str) -> Self {
        Self::Token { user: user.to_owned(), password: password.to_owned() }
    }

    /// Whether this request may be answered. `tokens` are those handed out, with their scopes.
    pub(super) fn admits(&self, asked: &Asked, tokens: &HashMap<String, Vec<String>>) -> bool {
        let given = asked.authorization.as_deref();
        match self {
            Self::Open => true,
            Self::Basic { user, password } => given == Some(basic(user, password).as_str()),
            Self::AnonymousToken | Self::Token { .. } => given
                .and_then(|given| tokens.get(given.strip_prefix("Bearer ")?))
                .is_some_and(|scopes| covers(scopes, asked)),
        }
    }

    /// Whether whoever asks the token endpoint like this gets a token.
    pub(super) fn grants(&self, asked: &Asked) -> bool {
        match self {
            Self::Open | Self::Basic { .. } => false,
            Self::AnonymousToken => true,
            Self::Token { user, password } => {
                asked.authorization.as_deref() == Some(basic(user, password).as_str())
            }
        }
    }

    /// The refusal that says what to bring. `host` is the registry's own.
    pub(super) fn challenge(&self, host: &str, asked: &Asked) -> Answer {
        let scope =
            asked.target.repository().map_or_else(String::new, |r| format!(",scope=\"{}\"", scope_of(r)));
        let challenge = match self {
            Self::Open | Self::Basic { .. } => format!("Basic realm=\"{host}\""),
            Self::AnonymousToken | Self::Token { .. } => {
                format!("Bearer realm=\"http://{host}{TOKEN_PATH}\",service=\"{SERVICE}\"{scope}")
            }
        };
        Answer::error(401).header("www-authenticate", challenge)
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn scope_of(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

/// A token for one repository is no good for another; any is good enough to ask for `/v2/`.
fn covers(scopes: &[String], asked: &Asked) -> bool {
    asked.target.repository().is_none_or(|r| scopes.iter().any(|scope| scope.starts_with(&scope_of(r))))
}
