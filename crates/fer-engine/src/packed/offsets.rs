//! Offset tables that know how far they reach.

/// Byte offsets, with the largest of them at hand.
#[derive(Debug, Clone)]
pub(super) struct Offsets {
    table: Vec<u32>,
    /// Largest entry among the first `i + 1`.
    largest: Vec<u32>,
}

impl Offsets {
    /// From a table.
    pub(super) fn new(table: Vec<u32>) -> Self {
        let largest = table
            .iter()
            .scan(0, |max, x| {
                *max = u32::max(*max, *x);
                Some(*max)
            })
            .collect();
        Self { table, largest }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn table(&self) -> &[u32] {
        &self.table
    }

    /// The largest of the first `n` entries; 0 if `n` is 0.
    pub(super) fn largest(&self, n: usize) -> usize {
        n.checked_sub(1)
            .and_then(|i| self.largest.get(i))
            .map_or(0, |x| *x as usize)
    }
}
