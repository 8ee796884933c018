//! Copying costs about as much as a bare tar pipe. Alone in its program: the processor time of all threads counts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use gitian_process::{Command, Status, Streams};
use gitian_vm::{GuestCommand, GuestUser, Layer, Limits, Target, copy_in, copy_out};
use nix::sys::resource::{UsageWho, getrusage};

struct Folder<'a>(&'a Path);

impl Target for Folder<'_> {
    fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
        let program = Command::new(&command.argv[0]).args(&command.argv[1..]).folder(self.0);
        Ok(program.run(streams)?.status)
    }

    fn keep_layer(&mut self, _layer: &Layer) -> Result<()> {
        Ok(())
    }

    fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }

    fn detach(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The processor time of this process and of its children so far.
fn cpu() -> Duration {
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .into_iter()
        .map(|who| {
            let usage = getrusage(who).unwrap();
            let time = |time: nix::sys::time::TimeVal| {
                Duration::new(time.tv_sec().unsigned_abs(), u32::try_from(time.tv_usec()).unwrap() * 1000)
            };
            time(usage.user_time()) + time(usage.system_time())
        })
        .sum()
}

/// How many times a bare pipe copying may cost, and how often that is tried.
const LIMIT: f64 = 1.4;
const ROUNDS: usize = 12;

#[test]
fn copying_costs_about_as_much_as_a_bare_tar_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tree = folder.join("tree");
    for part in 0..40 {
        let part = tree.join(part.to_string());
        fs::create_dir_all(&part).unwrap();
        for file in 0..50 {
            fs::write(part.join(file.to_string()), vec![file; 1000]).unwrap();
        }
    }
    fs::write(tree.join("large"), vec![42; 46 << 20]).unwrap();
    for place in ["bare", "guest"] {
        fs::create_dir(folder.join(place)).unwrap();
    }
    let guest = Folder(&folder.join("guest"));
    let limits = Limits { bytes: 1 << 30, entries: 100_000 };
    let cost = |made: &str, work: &dyn Fn()| {
        fs::remove_dir_all(folder.join(made)).ok();
        let before = cpu();
        work();
        (cpu() - before).as_secs_f64()
    };
    // What else the machine does changes from second to second, and can only add: of neighbouring runs the best ratio
    // is the nearest to the truth.
    let mut best = [f64::INFINITY; 2];
    for round in 0..ROUNDS {
        let pipe = cost("bare/tree", &|| {
            Command::new("sh").args(["-c", "tar -cf - tree | tar -xf - -C bare"]).folder(folder).text().unwrap();
        });
        let inwards = cost("guest/tree", &|| copy_in(&guest, GuestUser::Builder, &tree, ".").unwrap());
        let outwards =
            cost("back", &|| copy_out(&guest, GuestUser::Builder, "tree", &folder.join("back"), limits).unwrap());
        println!("46 MiB and 2,000 files, s of a processor: bare pipe {pipe:.2}, in {inwards:.2}, out {outwards:.2}");
        best = [best[0].min(inwards / pipe), best[1].min(outwards / pipe)];
        if round > 1 && best.iter().all(|ratio| *ratio <= LIMIT) {
            return;
        }
    }
    panic!("times a bare pipe: {:.2} in, {:.2} out, more than {LIMIT}", best[0], best[1]);
}
