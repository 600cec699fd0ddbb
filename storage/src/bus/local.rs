//! The bus inside one process: a lone node, or the many of a test.
