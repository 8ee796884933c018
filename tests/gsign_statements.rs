//! What gsign can say in the words of other tools: a list of digests, and in-toto statements with SLSA provenance.

use std::fs;
use std::os::unix::fs::symlink;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support;
use crate::support::checkout;
use crate::support::signers::{Builder, files, names};

#[test]
fn a_list_of_digests_and_its_signature_cover_all_that_was_signed() {
    let Some(alice) = Builder::new("alice") else { return };
    alice.built("hello", "one");
    alice.built("other", "two");
    let tree = alice.path("sigs");
    alice.sign(&tree, &["--sha256sums", "release/SHA256SUMS", "hello.yml", "other.yml"]).succeeds();
    fs::write(alice.path("release/hello.tar.gz"), "one").unwrap();
    fs::write(alice.path("release/other.tar.gz"), "two").unwrap();
    let mut check = assert_cmd::Command::new("sha256sum");
    check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(alice.path("release")).assert().success();
    let list = alice.path("release/SHA256SUMS");
    let armored = fs::read_to_string(alice.path("release/SHA256SUMS.asc")).unwrap();
    assert!(armored.starts_with("-----BEGIN PGP SIGNATURE-----\n"), "{armored}");
    alice.home.gpg(&["--verify", &format!("{}.asc", list.display()), list.to_str().unwrap()]);
    let mut program = alice.work.program("gverify");
    program.args(["--files", "release/SHA256SUMS", "--min-good", "1"]).env("GNUPGHOME", alice.home.path());
    support::programs::answer(&mut program).succeeds();
    assert_eq!(names(&alice.path("release")), ["SHA256SUMS", "SHA256SUMS.asc", "hello.tar.gz", "other.tar.gz"]);

    // With a secret key it is the same; what was there is replaced.
    fs::write(alice.path("alice.key"), alice.home.gpg(&["--export-secret-keys", "alice"])).unwrap();
    alice.sign(&tree, &["--key", "alice.key", "--sha256sums", "release/SHA256SUMS", "other.yml"]).succeeds();
    assert!(fs::read_to_string(&list).unwrap().ends_with("  other.tar.gz\n"));
    assert_eq!(fs::read_to_string(&list).unwrap().lines().count(), 1);
    alice.home.gpg(&["--verify", &format!("{}.asc", list.display()), list.to_str().unwrap()]);
}

/// Whether a value is as a schema says: the part of JSON Schema that tests/schemas uses.
fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (word, rule) in schema.as_object().unwrap() {
        let fits = match (word.as_str(), value) {
            ("title", _) => true,
            ("type", _) => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                other => panic!("type {other}"),
            },
            ("const", _) => value == rule,
            ("required", Value::Object(fields)) => {
                rule.as_array().unwrap().iter().all(|name| fields.contains_key(name.as_str().unwrap()))
            }
            ("minItems", Value::Array(items)) => items.len() as u64 >= rule.as_u64().unwrap(),
            ("hexDigits", Value::String(text)) => {
                let known = rule.as_array().unwrap().iter().any(|length| length == text.len());
                known && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            }
            ("uri", Value::String(text)) => {
                let scheme = text.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
                !scheme.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
            }
            ("items", Value::Array(items)) => {
                for (number, item) in items.iter().enumerate() {
                    check(rule, item, &format!("{at}[{number}]"))?;
                }
                true
            }
            ("properties", Value::Object(fields)) => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(field) = fields.get(name) {
                        check(rule, field, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            ("anyOf", _) => rule.as_array().unwrap().iter().any(|rule| check(rule, value, at).is_ok()),
            (word, _) => panic!("{word} at {at}"),
        };
        if !fits {
            return Err(format!("{at} is not {word} {rule}: {value}"));
        }
    }
    Ok(())
}

fn schema(name: &str) -> Value {
    serde_json::from_slice(&fs::read(checkout().join("tests/schemas").join(name)).unwrap()).unwrap()
}

/// The statements of a file of envelopes, each checked with gpg against its signature and with the schemas.
fn statements(alice: &Builder, file: &str) -> Vec<Value> {
    let lines = fs::read_to_string(alice.path(file)).unwrap();
    let open = |line: &str| {
        let envelope: Value = serde_json::from_str(line).unwrap();
        check(&schema("dsse-envelope.json"), &envelope, "envelope").unwrap();
        let decode = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
        let payload = decode(&envelope["payload"]);
        let kind = envelope["payloadType"].as_str().unwrap();
        let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        signed.extend(&payload);
        fs::write(alice.path("pae"), signed).unwrap();
        fs::write(alice.path("pae.sig"), decode(&envelope["signatures"][0]["sig"])).unwrap();
        let path = alice.path("pae");
        alice.home.gpg(&["--verify", &format!("{}.sig", path.display()), path.to_str().unwrap()]);
        let listed = String::from_utf8(alice.home.gpg(&["--with-colons", "--list-keys"])).unwrap();
        assert!(listed.contains(&format!(":{}:", envelope["signatures"][0]["keyid"].as_str().unwrap())));
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        check(&schema("slsa-provenance.json"), &statement, "statement").unwrap();
        statement
    };
    lines.lines().map(open).collect()
}

#[test]
fn a_statement_says_what_the_report_records_and_nothing_more() {
    let Some(alice) = Builder::new("alice") else { return };
    alice.built("hello", "one");
    alice.built("other", "two");
    let tree = alice.path("sigs");
    alice.sign(&tree, &["--in-toto", "release.intoto.jsonl", "hello.yml", "other.yml"]).succeeds();
    let found = statements(&alice, "release.intoto.jsonl");
    assert_eq!(found.len(), 2);
    let sha256 = |text: &str| gitian_manifest::Digest::of_bytes(text.as_bytes()).to_string();
    let file = |name: &str, content: &str| serde_json::json!({ "name": name, "digest": { "sha256": sha256(content) } });
    let text = support::signers::descriptor("hello");
    let package = |uri: &str, name: &str, content: &str| {
        let mut package = file(name, content);
        package["uri"] = uri.into();
        package
    };
    let expected = serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [file("hello.tar.gz", "one")],
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:x-gitian:gbuild:1",
                "externalParameters": {
                    "release": "1.0",
                    "package": "hello",
                    "descriptor": file("hello-desc.yml", &text),
                    "distro": "debian",
                    "suites": ["bookworm"],
                    "architectures": ["amd64"],
                    "packages": ["g++"],
                    "remotes": ["hello"],
                    "files": ["source.tar.gz"],
                    "enableCache": false,
                },
                "resolvedDependencies": [
                    file("source.tar.gz", "source"),
                    { "name": "hello", "digest": { "gitCommit": "1".repeat(40) } },
                    package("pkg:deb/debian/apt@2.6.2?arch=amd64&distro=bookworm", "apt_2.6.2_amd64.deb", "apt"),
                    package(
                        "pkg:deb/debian/g%2B%2B@4:12.2.0-3?arch=amd64&distro=bookworm",
                        "g++_4%3a12.2.0-3_amd64.deb",
                        "g++",
                    ),
                ],
            },
            "runDetails": { "builder": { "id": "urn:x-gitian:signer:alice" } },
        },
    });
    assert_eq!(found[0], expected);

    // The same bytes again, and with a secret key another signature of the same statement.
    fs::write(alice.path("alice.key"), alice.home.gpg(&["--export-secret-keys", "alice"])).unwrap();
    alice.sign(&tree, &["--key", "alice.key", "--in-toto", "by-key.jsonl", "hello.yml"]).succeeds();
    assert_eq!(statements(&alice, "by-key.jsonl"), [expected]);
}

#[test]
fn a_descriptor_that_was_changed_since_is_not_passed_on() {
    let Some(alice) = Builder::new("alice") else { return };
    alice.built("hello", "one");
    let text = fs::read_to_string(alice.path("hello.yml")).unwrap();
    fs::write(alice.path("hello.yml"), text.replace("example.org", "example.com")).unwrap();
    let answer = alice.sign(&alice.path("sigs"), &["--in-toto", "x.jsonl", "hello.yml"]);
    assert!(
        answer.stderr.starts_with("gsign: error: descriptor hello.yml is not the one that was built: "),
        "{}",
        answer.stderr
    );
    assert!(answer.code == 1 && !alice.path("sigs").exists() && !alice.path("x.jsonl").exists());
}

#[test]
fn outputs_that_would_replace_each_other_or_what_is_read_are_wrong_usage() {
    let Some(alice) = Builder::new("alice") else { return };
    alice.built("hello", "one");
    let tree = alice.path("sigs");
    alice.sign(&tree, &["--sha256sums", "list", "hello.yml"]).succeeds();
    fs::write(alice.path("alice.key"), alice.home.gpg(&["--export-secret-keys", "alice"])).unwrap();
    symlink("list.asc", alice.path("link")).unwrap();
    symlink("later", alice.path("dangling")).unwrap();
    symlink("sigs/1.0", alice.path("folder")).unwrap();
    fs::hard_link(alice.path("list"), alice.path("second")).unwrap();
    let (assert, signature) = ("sigs/1.0/alice/hello-build.assert", "sigs/1.0/alice/hello-build.assert.sig");
    let before = files(alice.work.path());
    let program = ["-p", "sh -c 'touch asked'"];
    let sign = |args: &[&str]| {
        let common = ["--signer", "alice", "--release", "1.0", "--destination", "sigs"];
        alice.run(&[&common, args, &["hello.yml"]].concat())
    };
    for (args, message) in [
        (&["--in-toto", signature][..], format!("--in-toto {signature} is the same file as signature {signature}")),
        (&["--sha256sums", assert], format!("--sha256sums {assert} is the same file as assertion {assert}")),
        (
            &["--in-toto", "folder/alice/hello-build.assert"],
            format!("--in-toto folder/alice/hello-build.assert is the same file as assertion {assert}"),
        ),
        (&["--sha256sums", "x", "--in-toto", "x.asc"], "--in-toto x.asc is the same file as signature x.asc".into()),
        (
            &["--sha256sums", "x", "--in-toto", "./new/../x"],
            "--in-toto ./new/../x is the same file as --sha256sums x".into(),
        ),
        (&["--in-toto", "x", "--sha256sums", "x"], "--in-toto x is the same file as --sha256sums x".into()),
        (
            &["--sha256sums", "list", "--in-toto", "link"],
            "--in-toto link is the same file as signature list.asc".into(),
        ),
        (
            &["--sha256sums", "later", "--in-toto", "dangling"],
            "--in-toto dangling is the same file as --sha256sums later".into(),
        ),
        (
            &["--sha256sums", "list", "--in-toto", "second"],
            "--in-toto second is the same file as --sha256sums list".into(),
        ),
        (&["--in-toto", "./hello.yml"], "--in-toto ./hello.yml is the same file as descriptor hello.yml".into()),
        (
            &["--sha256sums", "result/hello-res.yml"],
            "--sha256sums result/hello-res.yml is the same file as report result/hello-res.yml".into(),
        ),
    ] {
        let answer = sign(&[&program, args].concat());
        assert_eq!(answer.code, 2, "{args:?}: {}", answer.stderr);
        assert_eq!(answer.stderr, format!("gsign: error: {message}\n"));
        assert!(files(alice.work.path()) == before, "{args:?}");
    }
    // Neither what a request leaves nor what signs in-process goes over what is read.
    for (args, other) in [
        (&["--request", "result/../hello.yml"][..], "descriptor hello.yml"),
        (&["--key", "alice.key", "--in-toto", "alice.key"], "--key alice.key"),
    ] {
        let answer = sign(args);
        let wanted = format!(" is the same file as {other}\n");
        assert!(answer.stderr.ends_with(&wanted) && answer.code == 2, "{args:?}: {}", answer.stderr);
        assert!(files(alice.work.path()) == before, "{args:?}");
    }
    // Places of their own, beside each other, are fine; and the program above is one that would have been asked.
    sign(&["--sha256sums", "x", "--in-toto", "sigs/1.0/alice/hello.jsonl"]).succeeds();
    sign(&program).succeeds();
    assert!(alice.path("asked").exists());
}

#[test]
fn the_schemas_refuse_what_lacks_a_required_field() {
    let Some(alice) = Builder::new("alice") else { return };
    alice.built("hello", "one");
    alice.sign(&alice.path("sigs"), &["--in-toto", "x.jsonl", "hello.yml"]).succeeds();
    let statement = statements(&alice, "x.jsonl").remove(0);
    let schema = schema("slsa-provenance.json");
    for path in [
        "/_type",
        "/subject",
        "/subject/0/digest",
        "/predicateType",
        "/predicate/buildDefinition",
        "/predicate/buildDefinition/buildType",
        "/predicate/buildDefinition/externalParameters",
        "/predicate/runDetails",
        "/predicate/runDetails/builder",
        "/predicate/runDetails/builder/id",
    ] {
        let mut lacking = statement.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        lacking.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
        assert!(check(&schema, &lacking, "statement").is_err(), "{path}");
    }
}
