//! `docs/configuration.md` is true: its example can be read, and it has every key and every variable.

use std::fs;

use hoist::Config;

fn document() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).unwrap()
}

/// What a table of the configuration may have in it, as the complaint about what it may not says.
fn keys_of(table: &str) -> Vec<String> {
    let text = if table.is_empty() { "? = 1".to_owned() } else { format!("[{table}]\n? = 1") };
    let complaint = Config::from_toml(&text.replace('?', "nonsense")).unwrap_err().report();
    let (_, keys) = complaint.split_once("expected ").expect("it says what it expected");
    // At its end, it names the table.
    let keys = keys.rsplit_once(" in `").map_or(keys, |(keys, _)| keys);
    keys.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every key, as `table.key`. A table is its keys; that of credentials has a table for each registry.
fn keys() -> Vec<String> {
    let tables = ["remote", "local", "cache", "admission", "serve"];
    let mut keys: Vec<String> = keys_of("");
    keys.retain(|key| !tables.contains(&key.as_str()));
    for table in tables {
        keys.extend(keys_of(table).iter().map(|key| format!("{table}.{key}")));
    }
    let credentials = keys_of("remote.credentials.\"ghcr.io\"");
    keys.extend(credentials.iter().map(|key| format!("remote.credentials.*.{key}")));
    keys
}

#[test]
fn the_example_is_a_configuration() {
    let document = document();
    let (_, example) = document.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let config = Config::from_toml(example).unwrap();
    assert_eq!(config.max_size, Some(20 << 30));
}

#[test]
fn every_key_has_a_row() {
    let (document, keys) = (document(), keys());
    assert!(keys.len() > 10, "{keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !document.contains(&format!("\n| `{key}` |"))).collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks {missing:?}");
}

#[test]
fn every_variable_of_a_row_is_looked_up_and_no_other() {
    let document = document();
    let asked = std::cell::RefCell::new(Vec::new());
    let config = Config::default().with_variables(|name| {
        asked.borrow_mut().push(name.to_owned());
        None
    });
    assert_eq!(config.unwrap(), Config::default());
    for name in asked.borrow().iter() {
        let key = name.strip_prefix("HOIST_").unwrap().to_lowercase();
        let row =
            document.lines().find(|line| line.contains(&format!("`{name}`")) && line.starts_with("| `"));
        let row = row.unwrap_or_else(|| panic!("docs/configuration.md lacks {name}"));
        let documented = row.split('`').nth(1).unwrap().replace(['.', '-'], "_");
        assert_eq!(documented, key, "the variable is called as the key is");
    }
    let rows = document.lines().filter(|line| line.starts_with("| `") && line.contains("`HOIST_")).count();
    assert_eq!(rows, asked.borrow().len());
}
