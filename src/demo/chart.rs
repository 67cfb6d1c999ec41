//! Small charts of text.

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One character a value, as high as the value is of `top`.
pub(super) fn sparkline(values: &[f64], top: f64) -> String {
    let level = |value: f64| {
        let of_top = if top > 0.0 {
            (value / top).clamp(0.0, 1.0)
        } else {
            0.0
        };
        LEVELS[(of_top * (LEVELS.len() - 1) as f64).round() as usize]
    };
    values.iter().map(|value| level(*value)).collect()
}

/// `values` in at most `width` means of neighbours.
pub(super) fn shrink(values: &[f64], width: usize) -> Vec<f64> {
    if values.len() <= width {
        return values.to_vec();
    }
    let bounds: Vec<usize> = (0..=width).map(|n| n * values.len() / width).collect();
    bounds
        .windows(2)
        .map(|b| mean(&values[b[0]..b[1]]))
        .collect()
}

/// The mean; zero for no values.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        values.iter().sum::<f64>() / values.len() as f64
    }
}

/// Two blocks for each unit of `total`, as many of them filled as are used.
pub(super) fn meter(used: f64, total: f64) -> String {
    let (used, total) = (
        (used * 2.0).round() as usize,
        (total * 2.0).round() as usize,
    );
    let used = used.min(total);
    format!(
        "{}{}{}",
        "■".repeat(used),
        "·".repeat(total - used),
        " ".repeat(8_usize.saturating_sub(total))
    )
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_show_values_by_height_and_length() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0, 2.0], 1.0), "▁▅██");
        assert_eq!(sparkline(&[1.0], 0.0), "▁");
        assert_eq!(meter(1.5, 3.0), "■■■···  ");
        assert_eq!(meter(9.0, 1.0), "■■      ");
    }

    #[test]
    fn long_series_shrink_to_means() {
        assert_eq!(shrink(&[1.0, 3.0, 5.0, 7.0], 2), [2.0, 6.0]);
        assert_eq!(shrink(&[1.0], 2), [1.0]);
        assert_eq!(mean(&[]), 0.0);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(
            [0, 999, 1000, 474_238_015].map(grouped),
            ["0", "999", "1,000", "474,238,015"]
        );
    }
}
