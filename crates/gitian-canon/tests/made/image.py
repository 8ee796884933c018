"""Makes the same image in several ways, or checks one: `image.py make KIND SEED OUT`, `image.py check IN`.

KIND is oci, docker (as old Docker saves it), both (as new Docker does), or one of the lies: wrong-digest, wrong-diff,
double-key, no-blob, unknown; or repeated: an OCI layout of indices in indices that each name the next one 100 times.
"""
import gzip, hashlib, io, json, random, sys, tarfile

def sha(data):
    return hashlib.sha256(data).hexdigest()

def layer(files, dice):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=dice.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])) as tar:
        for name, (kind, mode, uid, data) in dice.sample(sorted(files.items()), len(files)):
            info = tarfile.TarInfo(dice.choice(["", "./"]) + name)
            info.type, info.mode, info.uid, info.uname, info.mtime = kind, mode, uid, dice.choice(["", "me"]), dice.randrange(1 << 31)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()

def dumps(value, dice):
    if isinstance(value, dict):
        items = dice.sample(sorted(value.items()), len(value))
        return "{" + dice.choice(["", " ", "\n"]) + ",".join(json.dumps(k) + ": " + dumps(v, dice) for k, v in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(dumps(item, dice) for item in value) + "]"
    return json.dumps(value)

def make(kind, seed, out):
    dice = random.Random(seed)
    when = "20%02d-01-02T03:04:05.%dZ" % (dice.randrange(10, 30), dice.randrange(1000))
    layers = [
        layer({"bin": (tarfile.DIRTYPE, 0o755, 0, b""), "bin/su": (tarfile.REGTYPE, 0o4711, 0, b"su" * 999)}, dice),
        layer({"home/me": (tarfile.REGTYPE, 0o600, 1000, b"mine"), "bin/.wh.su": (tarfile.REGTYPE, 0o644, 0, b"")}, dice),
    ]
    config = {
        "architecture": "amd64", "os": "linux", "created": when,
        "config": {"Cmd": ["sh"], "Hostname": "host%d" % seed, "Env": ["B=1", "A=2"]}, "container": "%064x" % seed,
        "history": [{"created": when, "created_by": "RUN true"}, {"created": when, "created_by": "RUN more"}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(data) for data in layers]},
    }
    if kind == "wrong-diff":
        config["rootfs"]["diff_ids"][0] = "sha256:" + "0" * 64
    files = {}
    def blob(data):
        files["blobs/sha256/" + sha(data)] = data
        return {"digest": "sha256:" + sha(data), "size": len(data)}
    if kind != "docker":
        oci = "application/vnd.oci.image."
        packed = [gzip.compress(data, dice.randrange(1, 10), mtime=dice.randrange(1 << 31)) for data in layers]
        config_blob = blob(dumps(config, dice).encode())
        manifest = {
            "schemaVersion": 2, "mediaType": oci + "manifest.v1+json",
            "config": {"mediaType": oci + "config.v1+json", **config_blob},
            "layers": [{"mediaType": oci + "layer.v1.tar+gzip", **blob(data)} for data in packed],
        }
        target = {"mediaType": oci + "manifest.v1+json", "platform": {"os": "linux", "architecture": "amd64"},
                  "annotations": {"org.opencontainers.image.created": when}, **blob(dumps(manifest, dice).encode())}
        index = {"schemaVersion": 2, "manifests": [target]}
        if seed % 2:
            attest = {"schemaVersion": 2, "config": manifest["config"], "layers": []}
            about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": target["digest"]}
            descriptor = blob(dumps(attest, dice).encode())
            index["manifests"].append({"mediaType": oci + "manifest.v1+json", "annotations": about, **descriptor})
        if kind == "unknown":
            index["manifests"][0]["mediaType"] = "text/plain"
        if kind == "repeated":
            for _ in range(3):
                index["manifests"] = [index["manifests"][0]] * 100
                nested = blob(dumps(index, dice).encode())
                index = {"schemaVersion": 2, "manifests": [{"mediaType": oci + "index.v1+json", **nested}]}
        text = dumps(index, dice)
        if kind == "double-key":
            text = '{"manifests": [], ' + text.lstrip()[1:]
        files["index.json"] = text.encode()
        files["oci-layout"] = b'{ "imageLayoutVersion":"1.0.0" }'
        if kind == "wrong-digest":
            name = next(name for name in files if name.startswith("blobs/"))
            files[name] = b"x" * len(files[name])
        if kind == "no-blob":
            del files[next(name for name in files if name.startswith("blobs/"))]
    if kind == "both":
        paths = ["blobs/sha256/" + sha(data) for data in packed]
        files["manifest.json"] = dumps([{"Config": "blobs/sha256/" + config_blob["digest"][7:], "RepoTags": ["x:1"], "Layers": paths}], dice).encode()
    links = {}
    if kind == "docker":
        name = sha(json.dumps(config).encode()) + ".json"
        files[name] = dumps(config, dice).encode()
        paths = []
        for number, data in enumerate(layers):
            folder = "%064x" % dice.randrange(1 << 200)
            paths.append(folder + "/layer.tar")
            files[folder + "/VERSION"] = b"1.0"
            if number == 1 and seed % 2:
                files["other/layer.tar"] = data
                links[paths[-1]] = "../other/layer.tar"
            else:
                files[paths[-1]] = data
        files["manifest.json"] = dumps([{"Config": name, "RepoTags": ["x:1"], "Layers": paths}], dice).encode()
        files["repositories"] = b'{"x": {"1": "%064x"}}' % seed
    with tarfile.open(out, "w") as tar:
        for name in dice.sample(sorted(files) + sorted(links), len(files) + len(links)):
            info = tarfile.TarInfo(name)
            if name in links:
                info.type, info.linkname = tarfile.SYMTYPE, links[name]
                tar.addfile(info)
            else:
                info.size = len(files[name])
                tar.addfile(info, io.BytesIO(files[name]))

def check(image):
    tar = tarfile.open(image)
    files = {info.name: tar.extractfile(info).read() for info in tar if info.isreg()}
    def blob(descriptor):
        data = files["blobs/sha256/" + descriptor["digest"][7:]]
        assert sha(data) == descriptor["digest"][7:] and len(data) == descriptor["size"], descriptor
        return data
    def plain(data):
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    images = []
    if "index.json" in files:
        for target in json.loads(files["index.json"])["manifests"]:
            assert target["annotations"]["org.opencontainers.image.created"] == "2014-05-13T16:53:20Z"
            manifest = json.loads(blob(target))
            images.append((json.loads(blob(manifest["config"])), [plain(blob(layer)) for layer in manifest["layers"]]))
    if "manifest.json" in files:
        for image in json.loads(files["manifest.json"]):
            images.append((json.loads(files[image["Config"]]), [plain(files[layer]) for layer in image["Layers"]]))
            assert image["RepoTags"] == ["x:1"]
    for config, layers in images:
        assert ["sha256:" + sha(data) for data in layers] == config["rootfs"]["diff_ids"]
        assert config["created"] == config["history"][1]["created"] == "2014-05-13T16:53:20Z"
        first, second = [tarfile.open(fileobj=io.BytesIO(data)) for data in layers]
        assert first.getmember("bin/su").mode == 0o4711 and second.getmember("home/me").uid == 1000
        assert second.extractfile("home/me").read() == b"mine" and "bin/.wh.su" in second.getnames()
        assert {info.mtime for info in [*first, *second]} == {1400000000}
    assert images

if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]), sys.argv[4])
else:
    check(sys.argv[2])
