//! Ready homes and example settings for Gable.
//!
//! The homes are YAML, under `homes/`: start from the one that is nearest to yours. `cluster/` holds
//! settings of three nodes, `systemd/` a unit. The tests here load each of them, so that none rots.

#[cfg(test)]
mod tests {
    use gable_broker_config::Settings;
    use gable_devices::sim;
    use gable_rules::{Problem, Severity, SourceFile};
    use std::collections::HashMap;
    use std::path::{Path, PathBuf};

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    fn entries(folder: &Path) -> Vec<PathBuf> {
        let read = std::fs::read_dir(folder).unwrap();
        let mut paths: Vec<PathBuf> = read.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{} is empty", folder.display());
        paths
    }

    fn home(folder: &Path) -> Vec<SourceFile> {
        let paths = entries(folder).into_iter();
        let yaml = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        yaml.map(|path| SourceFile {
            name: path.display().to_string(),
            text: std::fs::read_to_string(path).unwrap(),
        })
        .collect()
    }

    #[test]
    fn every_ready_home_is_sound() {
        for folder in entries(&folder("homes")) {
            let report = gable_rules::check(&home(&folder));
            let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
            assert_eq!(problems, [""; 0], "{}", folder.display());
            assert!(report.entities > 0 && report.automations > 0, "{}: {report:?}", folder.display());
        }
    }

    /// The blocks of YAML in a page, each with the number of its first line.
    fn blocks(page: &str) -> Vec<(usize, String)> {
        let mut blocks = Vec::new();
        let mut lines = (1..).zip(page.lines());
        while let Some((number, line)) = lines.next() {
            if line.trim() == "```yaml" {
                let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
                blocks.push((number + 1, inside.fold(String::new(), |text, line| text + line + "\n")));
            }
        }
        blocks
    }

    #[test]
    fn what_the_pages_show_is_sound() {
        let secrets = "{phone_url: 'http://192.0.2.1/', ha_token: abcdefgh}".to_owned();
        for page in ["../README.md", "../rules/LANGUAGE.md"] {
            let blocks = blocks(&std::fs::read_to_string(folder(page)).unwrap());
            assert!(!blocks.is_empty(), "{page} shows no YAML");
            for (line, text) in blocks {
                let secrets = SourceFile { name: "secrets.yaml".to_owned(), text: secrets.clone() };
                let shown = SourceFile { name: "home.yaml".to_owned(), text };
                let report = gable_rules::check(&[secrets, shown]);
                let is_grave = |problem: &&Problem| problem.severity != Severity::Warning;
                let problems: Vec<String> =
                    report.problems.iter().filter(is_grave).map(ToString::to_string).collect();
                assert_eq!(problems, [""; 0], "{page}, from line {line}");
            }
        }
    }

    #[test]
    fn the_demo_home_declares_the_simulated_devices() {
        let text = home(&folder("homes/demo")).remove(0).text;
        for line in sim::declarations(&sim::home(1)).lines().map(str::trim) {
            let is_identity = ["default_entity_id:", "state_topic:", "command_topic:"]
                .iter()
                .any(|key| line.starts_with(key));
            assert!(!is_identity || text.contains(line), "homes/demo lacks `{line}`");
        }
    }

    #[test]
    fn the_example_cluster_loads_and_agrees_on_its_members() {
        let settings: Vec<Settings> = entries(&folder("cluster"))
            .iter()
            .map(|path| Settings::load_with(Some(path), HashMap::new(), &[]).unwrap())
            .collect();
        let ids: Vec<u64> = settings.iter().map(|settings| settings.node.id).collect();
        assert_eq!(ids, [1, 2, 3]);
        for settings in &settings {
            assert_eq!(settings.cluster.peers.len(), 3);
            assert!(settings.home.files.iter().all(|file| file.exists()), "{:?}", settings.home.files);
        }
    }
}
