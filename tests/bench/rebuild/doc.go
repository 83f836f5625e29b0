// Command rebuild measures how fast a leg of a mirror is filled, beside what link and disk give: a plain copy of the
// same bytes from one `holdfast target` to another by Holdfast's own initiator, with as much under way as a rebuild
// has. scripts/bench calls it.
package main
