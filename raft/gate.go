package raft

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Gate returns the command as it may be proposed in a cluster of this version, or why it may not be.
func (c Command) Gate(version int) (Command, *Refusal) {
	if c.RaiseVersion != nil { // what it needs is that every coordinator knows it, which its proposer saw to
		if c.RaiseVersion.To > VersionLatest {
			return c, unknownVersion(c.RaiseVersion.To)
		}
		return c, nil
	}
	uses := laterUses(reflect.ValueOf(c), version)
	if len(uses) == 0 {
		return c, nil
	}
	for _, u := range uses {
		if !u.drop {
			return c, refuse(CodeWait, "%s needs cluster version %d, the cluster is at %d: it is raised once every "+
				"coordinator runs a release that understands it; holdfast cluster status says which do not",
				u.name, u.since, version)
		}
	}
	return c.without(version)
}

// without returns a copy of the command without the fields that are left out below their version.
func (c Command) without(version int) (Command, *Refusal) {
	var copied Command
	text, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &copied)
	}
	if err != nil {
		return c, invalid("%s: %v", c.Name(), err)
	}
	copied.At = c.At // with its monotonic clock
	for _, u := range laterUses(reflect.ValueOf(&copied), version) {
		u.value.SetZero()
	}
	return copied, nil
}

// laterUse is a value in use that a later version brought.
type laterUse struct {
	name  string // as in JSON
	since int
	drop  bool
	value reflect.Value
}

// laterUses finds the fields that are set although they, or what they are set to, came after a version.
func laterUses(v reflect.Value, version int) []laterUse {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return laterUses(v.Elem(), version)
	case reflect.Slice, reflect.Array:
		if !holdsFields(v.Type().Elem()) {
			return nil
		}
		var uses []laterUse
		for i := range v.Len() {
			uses = append(uses, laterUses(v.Index(i), version)...)
		}
		return uses
	case reflect.Map: // of a State; no command has one
		if !holdsFields(v.Type().Elem()) {
			return nil
		}
		var uses []laterUse
		for _, key := range v.MapKeys() {
			uses = append(uses, laterUses(v.MapIndex(key), version)...)
		}
		return uses
	case reflect.Struct:
		return laterFields(v, version)
	}
	return nil
}

func laterFields(v reflect.Value, version int) []laterUse {
	if slices.Contains(leafTypes(), v.Type()) {
		return nil
	}
	var uses []laterUse
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || v.Field(i).IsZero() {
			continue
		}
		since, drop := sinceVersion(field)
		if since > version {
			uses = append(uses, laterUse{jsonName(field), since, drop, v.Field(i)})
			continue
		}
		if value, ok := v.Field(i).Interface().(sinceValue); ok && value.Since() > version {
			name := fmt.Sprintf("%s %v", jsonName(field), value)
			uses = append(uses, laterUse{name, value.Since(), false, v.Field(i)})
			continue
		}
		uses = append(uses, laterUses(v.Field(i), version)...)
	}
	return uses
}

// sinceValue is the type of a field some of whose values came later than the field. An older coordinator would answer
// a command that has one otherwise than a newer does, so such a command is refused as a whole.
type sinceValue interface {
	// Since returns the cluster version that brought the value.
	Since() int
}

// holdsFields reports whether values of a type may have fields of their own, so that it is worth looking.
func holdsFields(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Array, reflect.Map:
		return t.Kind() == reflect.Interface || holdsFields(t.Elem())
	case reflect.Struct:
		return !slices.Contains(leafTypes(), t)
	}
	return false
}

// leafTypes are structs that are one value.
func leafTypes() []reflect.Type { return []reflect.Type{reflect.TypeFor[time.Time]()} }

// sinceVersion reads the tag of a field: the version that brought it, and whether it is left out before.
func sinceVersion(f reflect.StructField) (since int, drop bool) {
	tag, option, _ := strings.Cut(f.Tag.Get("since"), ",")
	if tag == "" {
		return VersionFirst, false
	}
	since, err := strconv.Atoi(tag)
	if err != nil {
		return VersionLatest + 1, false // a test holds the tags; a wrong one lets nothing pass
	}
	return since, option == "drop"
}

// jsonName returns the name of a field as it is serialised.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		return f.Name
	}
	return name
}
