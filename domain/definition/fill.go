package definition

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The library's own strictness names the line of a fault but no column, and the types of this program instead of the
// words of the file; so the tree that it makes is taken apart here.

// misplaced is what is wrong with one node of a file.
type misplaced struct {
	node    *yaml.Node
	message string
}

func (m *misplaced) Error() string { return m.message }

// fill puts a node into a value: a struct with the fields that its yaml tags name, a list, or a plain value.
func fill(into reflect.Value, node *yaml.Node) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Tag == "!!null" {
		return &misplaced{node, "the field has no value: give it one, or leave it out"}
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return fill(into.Elem(), node)
	case reflect.Struct:
		return fillFields(into, node)
	case reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			return &misplaced{node, "want a list, as in [a, b]"}
		}
		into.Set(reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content)))
		for i, item := range node.Content {
			if err := fill(into.Index(i), item); err != nil {
				return err
			}
		}
		return nil
	}
	if node.Kind != yaml.ScalarNode || node.Decode(into.Addr().Interface()) != nil {
		return &misplaced{node, "want " + inWords(into.Kind())}
	}
	return nil
}

func inWords(k reflect.Kind) string {
	if k == reflect.String {
		return "a text"
	}
	return "a whole number"
}

func fillFields(into reflect.Value, node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return &misplaced{node, "want fields with names, as in {name: value}"}
	}
	index := make(map[string]int)
	for i := range into.NumField() {
		name, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("yaml"), ",")
		index[name] = i
	}
	given := make(map[string]bool)
	for _, f := range fields(node) {
		name := f.key.Value
		i, known := index[name]
		switch {
		case !known || f.key.Kind != yaml.ScalarNode:
			return &misplaced{f.key, fmt.Sprintf("the field %s is unknown", name)}
		case given[name]:
			return &misplaced{f.key, fmt.Sprintf("the field %s is given twice", name)}
		}
		given[name] = true
		if err := fill(into.Field(i), f.value); err != nil {
			return err
		}
	}
	return nil
}

// locate returns the value that a path as in volumes[1].device names, or the nearest one around it.
func locate(node *yaml.Node, path string) *yaml.Node {
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		next := child(node, step)
		if next == nil {
			break
		}
		node = next
	}
	return node
}

// child returns the field of a group, or the item of a list, that a step of a path names; nil if there is none.
func child(node *yaml.Node, step string) *yaml.Node {
	switch node.Kind {
	case yaml.MappingNode:
		for _, f := range fields(node) {
			if f.key.Value == step {
				return f.value
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i]
		}
	}
	return nil
}
