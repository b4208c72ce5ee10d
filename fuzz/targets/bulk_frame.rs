//! The frames of a hand-over, and the runs of chunks in a hello.

use whisht::transfer::chunk::FileSize;
use whisht::transfer::chunk_set::{ChunkSet, MAX_RUNS};
use whisht::transfer::frame::{BulkFrame, FRAME_LEN};

/// Decodes the input, filled with zeros, as a frame, and its bytes as runs and as a stored set. Panics if
/// what was decoded is encoded differently.
pub fn bulk_frame(data: &[u8]) {
    let mut frame = [0; FRAME_LEN];
    let len = data.len().min(FRAME_LEN);
    frame[..len].copy_from_slice(&data[..len]);
    if let Ok(decoded) = BulkFrame::decode(&frame) {
        let again = decoded.encode().expect("a decoded frame fits");
        assert_eq!(*again, frame);
    }
    for chunks in [1, 3, 17, 306] {
        let size = FileSize::new(chunks * 65_536).expect("in range");
        let runs = &data[..data.len().min(MAX_RUNS * 4)];
        if let Some(set) = ChunkSet::from_runs(size, runs) {
            assert_eq!(set.to_runs(), runs);
            assert!(set.count() <= set.total());
        }
        if let Some(set) = ChunkSet::from_bytes(size, data) {
            assert_eq!(set.to_bytes(), data);
        }
    }
}
