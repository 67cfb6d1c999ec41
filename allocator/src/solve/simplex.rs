//! Linear programs in rationals: the simplex method on dictionaries, with Bland's rule, which never cycles.
//!
//! `maximise(c, a, b)`: the largest `c·x` with `a x <= b` and `x >= 0`, and such an `x`. None if there is no
//! such `x`. Programs here are bounded by capacities; one that is not is a mistake of the caller.
//
//= bland-1977

use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

type Row = Vec<BigRational>;

/// `x_basic[i] = constant[i] + Σ_j rows[i][j] * x_free[j]`, and the objective in the same form.
struct Dictionary {
    basic: Vec<usize>,
    free: Vec<usize>,
    constants: Row,
    rows: Vec<Row>,
    value: BigRational,
    objective: Row,
}

/// See the module.
pub(super) fn maximise(c: &Row, a: &[Row], b: &Row) -> Option<(BigRational, Row)> {
    let (n, m) = (c.len(), b.len());
    let mut dictionary = Dictionary {
        basic: (n..n + m).collect(),
        free: (0..n).collect(),
        constants: b.clone(),
        rows: a
            .iter()
            .map(|row| row.iter().map(|x| -x).collect())
            .collect(),
        value: BigRational::zero(),
        objective: c.clone(),
    };
    if b.iter().any(Signed::is_negative) {
        dictionary.make_feasible(n + m)?;
        dictionary.set_objective(c);
    }
    dictionary.run();
    let mut x = vec![BigRational::zero(); n];
    for (variable, constant) in dictionary.basic.iter().zip(&dictionary.constants) {
        if *variable < n {
            x[*variable].clone_from(constant);
        }
    }
    Some((dictionary.value, x))
}

impl Dictionary {
    /// Brings all constants to >= 0 with the help of a variable that is added to all rows and must be zero
    /// in the end.
    fn make_feasible(&mut self, helper: usize) -> Option<()> {
        self.free.push(helper);
        self.rows
            .iter_mut()
            .for_each(|row| row.push(BigRational::one()));
        self.objective = vec![BigRational::zero(); self.free.len()];
        let last = self.free.len() - 1;
        self.objective[last] = -BigRational::one();
        let least =
            (0..self.constants.len()).min_by(|&i, &k| self.constants[i].cmp(&self.constants[k]))?;
        self.pivot(least, last);
        self.run();
        if !self.value.is_zero() {
            return None;
        }
        if let Some(row) = self.basic.iter().position(|variable| *variable == helper) {
            // It is zero: any other variable may take its place.
            let column = self.rows[row].iter().position(|x| !x.is_zero())?;
            self.pivot(row, column);
        }
        let column = self.free.iter().position(|variable| *variable == helper)?;
        self.free.remove(column);
        self.rows.iter_mut().for_each(|row| {
            row.remove(column);
        });
        Some(())
    }

    /// Writes the objective `c` in terms of the free variables.
    fn set_objective(&mut self, c: &Row) {
        self.value = BigRational::zero();
        self.objective = vec![BigRational::zero(); self.free.len()];
        for (at, variable) in self.free.iter().enumerate() {
            if let Some(factor) = c.get(*variable) {
                self.objective[at] += factor;
            }
        }
        for (at, variable) in self.basic.iter().enumerate() {
            let Some(factor) = c.get(*variable).filter(|factor| !factor.is_zero()) else {
                continue;
            };
            self.value += factor * &self.constants[at];
            for (sum, x) in self.objective.iter_mut().zip(&self.rows[at]) {
                *sum += factor * x;
            }
        }
    }

    /// Improves the objective until it cannot be.
    fn run(&mut self) {
        loop {
            let better = (0..self.free.len()).filter(|&j| self.objective[j].is_positive());
            let Some(column) = better.min_by_key(|&j| self.free[j]) else {
                return;
            };
            let bounding = (0..self.rows.len()).filter(|&i| self.rows[i][column].is_negative());
            let row = bounding.min_by(|&i, &k| {
                let ratio = |i: usize| -(&self.constants[i] / &self.rows[i][column]);
                ratio(i)
                    .cmp(&ratio(k))
                    .then(self.basic[i].cmp(&self.basic[k]))
            });
            self.pivot(row.expect("a program that is bounded"), column);
        }
    }

    /// A free variable and a basic one change places.
    fn pivot(&mut self, row: usize, column: usize) {
        let factor = -BigRational::one() / &self.rows[row][column];
        let mut pivot = std::mem::take(&mut self.rows[row]);
        pivot[column] = -BigRational::one();
        pivot.iter_mut().for_each(|x| *x *= &factor);
        let constant = &self.constants[row] * &factor;
        let replace = |line: &mut Row, sum: &mut BigRational| {
            let times = std::mem::replace(&mut line[column], BigRational::zero());
            if times.is_zero() {
                return;
            }
            *sum += &times * &constant;
            for (x, add) in line.iter_mut().zip(&pivot) {
                *x += &times * add;
            }
        };
        for (i, line) in self.rows.iter_mut().enumerate() {
            if i != row {
                replace(line, &mut self.constants[i]);
            }
        }
        replace(&mut self.objective, &mut self.value);
        self.constants[row] = constant;
        self.rows[row] = pivot;
        std::mem::swap(&mut self.basic[row], &mut self.free[column]);
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;

    use super::*;

    fn row(numbers: &[i64]) -> Row {
        let whole = |n: &i64| BigRational::from_integer(BigInt::from(*n));
        numbers.iter().map(whole).collect()
    }

    #[test]
    fn a_program_is_solved_exactly() {
        let a = [row(&[2, 1]), row(&[1, 3])];
        let (value, x) = maximise(&row(&[1, 1]), &a, &row(&[4, 6])).unwrap();
        assert_eq!(value.to_string(), "14/5");
        assert_eq!(x[0].to_string(), "6/5");
    }

    #[test]
    fn lower_bounds_are_kept_or_refused() {
        let a = [row(&[1, 1]), row(&[-1, 0])];
        let (value, x) = maximise(&row(&[0, 1]), &a, &row(&[5, -2])).unwrap();
        assert_eq!((value, x), (row(&[3])[0].clone(), row(&[2, 3])));
        assert_eq!(maximise(&row(&[0, 1]), &a, &row(&[1, -2])), None);
    }
}
