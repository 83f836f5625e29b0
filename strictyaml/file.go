package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrEmpty is what Read returns for a file that says nothing.
var ErrEmpty = errors.New("it says nothing")

// Read returns the one value that a text holds, ErrEmpty if it holds none; name is what errors call the file.
func Read(name string, text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) || err == nil && empty(&document) {
		return nil, fmt.Errorf("%s: %w", name, ErrEmpty)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: holds more than one document", name)
	}
	return document.Content[0], nil
}

func empty(document *yaml.Node) bool {
	return len(document.Content) == 0 || document.Content[0].Tag == "!!null"
}

// Placed words an error with the place in the file that it is about: that of a *Fault, or the field that a path as in
// volumes[1].name leads to from top.
func Placed(name string, top *yaml.Node, path string, err error) error {
	at := Locate(top, path)
	var fault *Fault
	if errors.As(err, &fault) {
		at = fault.Node
	}
	return fmt.Errorf("%s: line %d, column %d: %w", name, at.Line, at.Column, err)
}
