//! `docs/configuration.md`: its table is made from the code. `UPDATE_DOCS=1` writes it anew.

use misstep::config::SETTINGS;

use super::section;

#[test]
fn the_documented_settings_are_those_of_the_code() {
    let rows = SETTINGS.iter().map(|setting| {
        let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
        let (key, variable, flag) = (setting.key, setting.variable(), setting.flag());
        let meaning = setting.meaning.replace('|', "\\|");
        format!("| `{key}` | `{variable}` | `--{flag}` | {default} | {meaning} |\n")
    });
    let head = "| file | environment | flag | default | meaning |\n|---|---|---|---|---|\n";
    section("docs/configuration.md", "settings", &format!("{head}{}", rows.collect::<String>()));
}
