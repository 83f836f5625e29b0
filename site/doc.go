// Package site has the words of a site: all that a cluster is to be, as a tree of files says it. They are values
// without a cluster or a file system behind them.
//
//	tree/   reads them from a directory, normally a checkout of a version control system
//	plan/   what has to be done to a cluster so that it is as they say; pure
//	apply/  does it, step by step, through the API
//
// What a tree leaves out has its default: a line that is removed is undone, like one that is changed.
package site
