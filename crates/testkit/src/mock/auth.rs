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
    /// A token from the registry's own token endpoint, which anybody gets, and this user; but who shows other
    /// credentials than theirs is refused with 403, as by GHCR.
    PublicToken {
        /// The user.
        user: String,
        /// The password.
        password: String,
        /// Whether it is the registry that refuses, and not yet the token endpoint.
        late: bool,
    },
    /// What `auth` asks for; but only `/v2/` says so. All else is answered with `status` to those who do not bring it, as
    /// Docker's registry and zot do with 404 for a private repository, and ECR with 403 to an expired token.
    Hidden {
        /// What is asked for.
        auth: Box<Auth>,
        /// 403 or 404.
        status: u16,
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

    /// [`PublicToken`](Self::PublicToken), for this user.
    pub fn public_token(user: &str, password: &str, late: bool) -> Self {
        Self::PublicToken { user: user.to_owned(), password: password.to_owned(), late }
    }

    /// [`Hidden`](Self::Hidden), with this status.
    #[must_use]
    pub fn hidden(self, status: u16) -> Self {
        Self::Hidden { auth: Box::new(self), status }
    }

    /// Whether this request may be answered. `tokens` are those handed out, with their scopes.
    pub(super) fn admits(&self, asked: &Asked, tokens: &HashMap<String, Vec<String>>) -> bool {
        let given = asked.authorization.as_deref();
        match self {
            Self::Open => true,
            Self::Basic { user, password } => given == Some(basic(user, password).as_str()),
            Self::AnonymousToken | Self::Token { .. } | Self::PublicToken { .. } => given
                .and_then(|given| tokens.get(given.strip_prefix("Bearer ")?))
                .is_some_and(|scopes| covers(scopes, asked)),
            Self::Hidden { auth, .. } => auth.admits(asked, tokens),
        }
    }

    /// The status for whoever asks the token endpoint like this; 200 with a token, of these scopes.
    pub(super) fn judge(&self, asked: &Asked) -> Result<Vec<String>, u16> {
        let given = asked.authorization.clone().or_else(|| {
            let (user, password) = asked.field("username").zip(asked.field("password"))?;
            Some(basic(user, password))
        });
        let is = |user: &str, password: &str| given.as_deref() == Some(basic(user, password).as_str());
        match self {
            Self::AnonymousToken => Ok(asked.scopes.clone()),
            Self::Token { user, password } if is(user, password) => Ok(asked.scopes.clone()),
            Self::PublicToken { user, password, late } => match given {
                Some(_) if is(user, password) => Ok(asked.scopes.clone()),
                Some(_) if *late => Ok(Vec::new()),
                Some(_) => Err(403),
                None => Ok(asked.scopes.clone()),
            },
            Self::Hidden { auth, .. } => auth.judge(asked),
            _ => Err(401),
        }
    }

    /// The refusal that says what to bring. `host` is the registry's own.
    pub(super) fn challenge(&self, host: &str, asked: &Asked) -> Answer {
        let scope =
            asked.target.repository().map_or_else(String::new, |r| format!(",scope=\"{}\"", scope_of(r)));
        let challenge = match self {
            Self::Hidden { status, .. } if asked.target.repository().is_some() => {
                return Answer::error(*status);
            }
            Self::Hidden { auth, .. } => return auth.challenge(host, asked),
            Self::Open | Self::Basic { .. } => format!("Basic realm=\"{host}\""),
            Self::AnonymousToken | Self::Token { .. } | Self::PublicToken { .. } => {
                format!("Bearer realm=\"http://{host}{TOKEN_PATH}\",service=\"{SERVICE}\"{scope}")
            }
        };
        Answer::error(401).header("www-authenticate", challenge)
    }
}

/// Whether this request shows a token that its user should not have been given.
pub(super) fn is_forbidden(asked: &Asked, tokens: &HashMap<String, Vec<String>>) -> bool {
    let token = asked.authorization.as_deref().and_then(|given| given.strip_prefix("Bearer "));
    token.and_then(|token| tokens.get(token)).is_some_and(Vec::is_empty)
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
