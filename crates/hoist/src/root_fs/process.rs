//! What to run in a guest.

use oci_spec::image::ImageConfiguration;

/// What Docker and containerd search, if the image does not say.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The process that an image wants to be run, in the terms of the
/// [runtime spec](https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config.md#process).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// The program and its arguments: `Entrypoint`, and then `Cmd`. Empty: the image does not say what to run.
    pub args: Vec<String>,
    /// Variables, each as `NAME=VALUE`. There is always a `PATH`.
    pub env: Vec<String>,
    /// The working directory, an absolute path.
    pub cwd: String,
    /// `USER[:GROUP]`, by name or number, which the guest looks up in its `/etc/passwd` and `/etc/group`. Without a user,
    /// it is `0`.
    pub user: String,
}

impl Process {
    /// As `docker run IMAGE ARGUMENTS` puts it together.
    pub(crate) fn new(config: &ImageConfiguration, arguments: &[String]) -> Self {
        let config = config.config().clone().unwrap_or_default();
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let rest = if arguments.is_empty() { list(config.cmd()) } else { arguments.to_vec() };
        let mut env = list(config.env());
        if !env.iter().any(|variable| variable.starts_with("PATH=")) {
            env.push(PATH.to_owned());
        }
        let cwd = set(config.working_dir()).unwrap_or_default();
        Self {
            args: [list(config.entrypoint()), rest].concat(),
            env,
            cwd: if cwd.starts_with('/') { cwd } else { format!("/{cwd}") },
            user: set(config.user()).unwrap_or_else(|| "0".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(config: &str, arguments: &[&str]) -> Process {
        let config = format!(
            r#"{{"os":"linux","architecture":"amd64","config":{config},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        Process::new(&serde_json::from_str(&config).unwrap(), &arguments)
    }

    #[test]
    fn it_is_put_together_as_docker_run_does() {
        let config = r#"{"Entrypoint":["/init","-v"],"Cmd":["serve"],"Env":["A=1","PATH=/bin"],"User":"app:www","WorkingDir":"srv"}"#;
        let whole = process(config, &[]);
        assert_eq!(whole.args, ["/init", "-v", "serve"]);
        assert_eq!(whole.env, ["A=1", "PATH=/bin"]);
        assert_eq!((&*whole.cwd, &*whole.user), ("/srv", "app:www"));
        assert_eq!(process(config, &["sh", "-c"]).args, ["/init", "-v", "sh", "-c"]);
    }

    #[test]
    fn what_an_image_leaves_out_is_as_docker_has_it() {
        let none = process("{}", &[]);
        assert_eq!((none.args, &*none.cwd, &*none.user), (vec![], "/", "0"));
        assert_eq!(none.env, [PATH]);
        assert_eq!(process("{}", &["sh"]).args, ["sh"]);
    }
}
