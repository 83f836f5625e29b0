// Command scale measures what a request of one volume costs while more and more other volumes are attached on the same
// host and idle: it shall cost the same. scripts/bench calls it.
package main
