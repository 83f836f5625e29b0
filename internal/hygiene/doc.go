// Package hygiene holds the rules of the repository that a compiler does not: which way packages
// depend on each other, what is documented, how large things may grow, what is not used. They are
// tests, so breaking one fails with the rule and its reason. The package has no code of its own.
package hygiene
