//! Swaps under load (T-13): whole answers of one cut, whatever happens meanwhile.

use std::sync::atomic::AtomicBool;

use super::*;

const CLIENTS: usize = 200;
const CUTS: i64 = 50;

/// The content of a file of a cut: it says of itself which cut it is from, in every line.
fn content(cut: i64, file: usize) -> Vec<u8> {
    format!("corte {cut:04} archivo {file}\n").repeat(40 + 900 * file).into_bytes()
}

fn cut_of(body: &[u8], file: usize) -> i64 {
    let cut = std::str::from_utf8(&body[6..10]).unwrap().parse().unwrap();
    assert_eq!(body, content(cut, file), "a mixture");
    cut
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_readers_and_fifty_swaps_see_no_mixture() {
    let rig = Rig::start(|_| {});
    let publish = |cut: i64| {
        let files: Vec<_> = (0..3).map(|f| content(cut, f)).collect();
        rig.bench.show(cut, &[("index.html", &files[0]), ("a.json", &files[1]), ("b.csv", &files[2])]);
    };
    publish(0);
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = Keeping::over(rig.connect().await);
        let over = Arc::clone(&over);
        readers.spawn(async move {
            let (mut newest, mut count, mut last) = (0, 0, false);
            loop {
                for (file, path) in ["/", "/a.json", "/b.csv"].iter().enumerate() {
                    let answer = client.get(path).await;
                    assert_eq!(answer.status, 200);
                    let cut = cut_of(&answer.body, file);
                    assert!(cut >= newest, "an older cut after a newer one");
                    (newest, count) = (cut, count + 1);
                }
                if last {
                    return (newest, count);
                }
                last = over.load(Ordering::Acquire);
            }
        });
    }
    for cut in 1..=CUTS {
        tokio::task::block_in_place(|| publish(cut));
        tokio::task::yield_now().await;
    }
    over.store(true, Ordering::Release);
    let mut answers = 0;
    while let Some(reader) = readers.join_next().await {
        let (newest, count) = reader.unwrap();
        assert_eq!(newest, CUTS);
        answers += count;
    }
    assert!(answers >= 6 * CLIENTS, "{answers}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_the_whole_old_file() {
    let rig = Rig::start(|_| {});
    let old: Vec<u8> = (0..4_000_000u32).flat_map(u32::to_le_bytes).collect();
    rig.bench.show(1, &[("datos.bin", &old)]);
    let mut reader = Keeping::over(rig.connect().await);
    reader.send("GET /datos.bin HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut first = vec![0; 1000];
    reader.stream.read_exact(&mut first).await.unwrap();
    reader.buffer = first;
    for cut in 2..8 {
        rig.bench.show(cut, &[("datos.bin", format!("cut {cut}").as_bytes())]);
        rig.bench.store.prune(&|_| false).unwrap();
    }
    assert_eq!(reader.answer().await.unwrap().body, old);
    assert_eq!(reader.get("/datos.bin").await.text(), "cut 7");
    rig.end().await;
}
