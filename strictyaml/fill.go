package strictyaml

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Fault is what is wrong with one node of a file.
type Fault struct {
	Node    *yaml.Node
	Message string
}

// Error returns what is wrong, without the place, which Placed adds.
func (f *Fault) Error() string { return f.Message }

// At returns a fault of a node.
func At(node *yaml.Node, format string, args ...any) *Fault {
	return &Fault{Node: node, Message: fmt.Sprintf(format, args...)}
}

// Field is one field of a group.
type Field struct{ Key, Value *yaml.Node }

// Fields returns the fields of a group, in their order.
func Fields(group *yaml.Node) []Field {
	var all []Field
	for i := 0; i+1 < len(group.Content); i += 2 {
		all = append(all, Field{group.Content[i], group.Content[i+1]})
	}
	return all
}

// Fill puts a node into what into points to: a struct with the fields that its yaml tags name, a list, or a plain
// value. What is wrong is a *Fault.
func Fill(into any, node *yaml.Node) error { return fill(reflect.ValueOf(into).Elem(), node) }

// fill puts a node into a value: a struct with the fields that its yaml tags name, a list, or a plain value.
func fill(into reflect.Value, node *yaml.Node) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Tag == "!!null" {
		return At(node, "the field has no value: give it one, or leave it out")
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return fill(into.Elem(), node)
	case reflect.Struct:
		return fillFields(into, node)
	case reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			return At(node, "want a list, as in [a, b]")
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
		return At(node, "want %s", inWords(into.Kind()))
	}
	return nil
}

func inWords(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	}
	return "a whole number"
}

func fillFields(into reflect.Value, node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return At(node, "want fields with names, as in {name: value}")
	}
	index := make(map[string]int)
	for i := range into.NumField() {
		name, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("yaml"), ",")
		index[name] = i
	}
	given := make(map[string]bool)
	for _, f := range Fields(node) {
		name := f.Key.Value
		i, known := index[name]
		switch {
		case !known || f.Key.Kind != yaml.ScalarNode:
			return At(f.Key, "the field %s is unknown", name)
		case given[name]:
			return At(f.Key, "the field %s is given twice", name)
		}
		given[name] = true
		if err := fill(into.Field(i), f.Value); err != nil {
			return err
		}
	}
	return nil
}

// Locate returns the value that a path as in volumes[1].device names, or the nearest one around it.
func Locate(node *yaml.Node, path string) *yaml.Node {
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
		for _, f := range Fields(node) {
			if f.Key.Value == step {
				return f.Value
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i]
		}
	}
	return nil
}
