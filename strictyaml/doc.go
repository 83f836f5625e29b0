// Package strictyaml reads the files that people write: YAML, of which JSON is a part, without forgiveness.
//
// A field that is unknown, given twice or of another kind than is wanted is an error that names the file, the line and
// the column. The library's own strictness names the line and no column, and the types of this program instead of the
// words of the file; so the tree that it makes is taken apart here. What the fields mean is for the caller to know.
package strictyaml
