//! The order of calls, with a kernel side that only writes down what is asked of it.
