//! Categories: the compartments of a level. With two of its own, a container is kept apart from every other (MCS).

use crate::Invalid;
use std::fmt;

/// Categories of the policies that distributions ship: c0 to c1023.
const COUNT: u16 = 1024;

/// A set of categories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Categories {
    words: [u64; COUNT as usize / 64],
}

impl Categories {
    /// Reads `c1,c2` and runs such as `c0.c9`, in any order.
    ///
    /// # Errors
    /// [`Invalid::Categories`], also for a run that does not ascend, which the kernel refuses too.
    pub fn parse(text: &str) -> Result<Categories, Invalid> {
        let invalid = || Invalid::Categories(text.to_string());
        let mut all = Categories::default();
        for item in text.split(',') {
            match item.split_once('.') {
                None => all.insert(category(item).ok_or_else(invalid)?),
                Some((first, last)) => {
                    let (first, last) = category(first).zip(category(last)).ok_or_else(invalid)?;
                    if first >= last {
                        return Err(invalid());
                    }
                    (first..=last).for_each(|c| all.insert(c));
                }
            }
        }
        Ok(all)
    }

    fn insert(&mut self, category: u16) {
        if let Some(word) = self.words.get_mut(usize::from(category / 64)) {
            *word |= 1 << (category % 64);
        }
    }

    /// Whether the set has the category.
    pub fn contains(&self, category: u16) -> bool {
        self.words.get(usize::from(category / 64)).is_some_and(|word| word & 1 << (category % 64) != 0)
    }

    /// Whether every category of `other` is in this set: the dominance of two levels of the same sensitivity.
    pub fn contains_all(&self, other: &Categories) -> bool {
        self.words.iter().zip(&other.words).all(|(mine, other)| other & !mine == 0)
    }

    /// The categories, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..COUNT).filter(|c| self.contains(*c))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// As the kernel prints them: ascending; three or more in a row as a run, two as two.
impl fmt::Display for Categories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut next = 0;
        let mut separator = "";
        while let Some(first) = (next..COUNT).find(|c| self.contains(*c)) {
            let last = (first..COUNT).take_while(|c| self.contains(*c)).last().unwrap_or(first);
            match last - first {
                0 => write!(f, "{separator}c{first}")?,
                1 => write!(f, "{separator}c{first},c{last}")?,
                _ => write!(f, "{separator}c{first}.c{last}")?,
            }
            separator = ",";
            next = last + 1;
        }
        Ok(())
    }
}

fn category(text: &str) -> Option<u16> {
    number(text.strip_prefix('c')?).filter(|n| *n < COUNT)
}

/// A decimal number, written in the one way that the policy's names are: no sign, no leading zero.
pub(crate) fn number(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with('0');
    if plain && text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The two categories that set one container apart. Two containers with the same pair can reach each other's files;
/// with different pairs neither dominates the other. There are 523,776 pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct McsPair {
    low: u16,
    high: u16,
}

impl McsPair {
    /// The pair of two categories, in either order.
    ///
    /// # Errors
    /// [`Invalid::Pair`] for twice the same, or one beyond c1023.
    pub fn new(a: u16, b: u16) -> Result<McsPair, Invalid> {
        let (low, high) = (a.min(b), a.max(b));
        if low < high && high < COUNT { Ok(McsPair { low, high }) } else { Err(Invalid::Pair) }
    }

    /// The pair that a set of exactly two categories is.
    pub fn of(categories: &Categories) -> Option<McsPair> {
        let mut all = categories.iter();
        match (all.next(), all.next(), all.next()) {
            (Some(low), Some(high), None) => Some(McsPair { low, high }),
            _ => None,
        }
    }

    /// The pair as a set.
    pub fn categories(self) -> Categories {
        let mut all = Categories::default();
        all.insert(self.low);
        all.insert(self.high);
        all
    }
}

impl fmt::Display for McsPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{},c{}", self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        Categories::parse(text).unwrap().to_string()
    }

    #[test]
    fn categories_are_printed_as_the_kernel_prints_them() {
        for (given, wanted) in [
            ("c2,c1", "c1,c2"),
            ("c1,c1", "c1"),
            ("c0.c1023", "c0.c1023"),
            ("c1,c2,c3", "c1.c3"),
            ("c4.c5", "c4,c5"),
            ("c9,c0.c3,c7", "c0.c3,c7,c9"),
            ("c63,c64,c65,c1023", "c63.c65,c1023"),
        ] {
            assert_eq!(printed(given), wanted);
        }
    }

    #[test]
    fn what_is_not_a_category_is_refused() {
        for text in ["", "c", "1", "c1024", "c65536", "c01", "c+1", "c-1", "C1", "c1,", ",c1", "c1 ,c2", "c1\n", "c1\0"]
        {
            assert_eq!(Categories::parse(text), Err(Invalid::Categories(text.into())), "{text:?}");
        }
    }

    #[test]
    fn a_run_that_does_not_ascend_is_refused() {
        for text in ["c3.c1", "c3.c3", "c1.", ".c1", "c1.c2.c3", "c1.c1024"] {
            assert!(Categories::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dominance_is_inclusion() {
        let (all, some) = (Categories::parse("c0.c9").unwrap(), Categories::parse("c3,c5").unwrap());
        assert!(all.contains_all(&some) && !some.contains_all(&all));
        assert!(some.contains_all(&some) && some.contains_all(&Categories::default()));
    }

    #[test]
    fn pairs_are_unordered_and_different_pairs_do_not_dominate_each_other() {
        let pair = McsPair::new(7, 3).unwrap();
        assert_eq!(pair, McsPair::new(3, 7).unwrap());
        assert_eq!(pair.to_string(), "c3,c7");
        assert_eq!(McsPair::of(&pair.categories()), Some(pair));
        let other = McsPair::new(3, 8).unwrap();
        assert!(pair < other);
        assert!(!pair.categories().contains_all(&other.categories()));
        assert!(!other.categories().contains_all(&pair.categories()));
    }

    #[test]
    fn one_or_three_categories_are_no_pair() {
        assert_eq!(McsPair::new(5, 5), Err(Invalid::Pair));
        assert_eq!(McsPair::new(5, 1024), Err(Invalid::Pair));
        for text in ["c5", "c1,c2,c3", "c0.c1023"] {
            assert_eq!(McsPair::of(&Categories::parse(text).unwrap()), None);
        }
    }
}
