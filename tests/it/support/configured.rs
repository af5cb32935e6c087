//! Routes read from the text of a configuration file, the way the binary reads them.

use std::path::Path;

use misstep::config::Layers;
use misstep::notify::Route;
use misstep::notify::settings::{RouteSettings, connect};

use crate::support::stub::session;

/// What the file at `path` says of routes, or all its faults.
pub(crate) fn settings(path: &Path, variables: &[(&str, &str)]) -> Result<Vec<RouteSettings>, Vec<String>> {
    let variable =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let path = path.to_str().unwrap().to_owned();
    let sources = Layers::gather(|_| None, variable, Some(path));
    let faults = |faults: Vec<_>| faults.iter().map(ToString::to_string).collect();
    sources.notify().map(|notify| notify.routes).map_err(faults)
}

/// The same of a file with this text.
pub(crate) fn settings_of(text: &str, variables: &[(&str, &str)]) -> Result<Vec<RouteSettings>, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("misstep.toml");
    std::fs::write(&path, text).unwrap();
    settings(&path, variables)
}

/// The routes of a file with this text, connected.
pub(crate) fn routes(text: &str, variables: &[(&str, &str)]) -> Vec<Route> {
    connect(&settings_of(text, variables).unwrap(), Some(&session("http://127.0.0.1:1")))
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// The only route of such a file.
pub(crate) fn route(text: &str, variables: &[(&str, &str)]) -> Route {
    let mut routes = routes(text, variables);
    assert_eq!(routes.len(), 1);
    routes.remove(0)
}
