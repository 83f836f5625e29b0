package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Fault is one thing that is wrong with a definition.
type Fault struct {
	Path    string // of the field, as in volumes[1].name; empty is the whole
	Message string
}

// Error names the field and what is wrong with it.
func (f *Fault) Error() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// Faultf returns a fault of a field.
func Faultf(path, format string, args ...any) *Fault {
	return &Fault{Path: path, Message: fmt.Sprintf(format, args...)}
}

// DecodeSettings reads the settings of the definition's driver into the struct that into points to. A field that
// it does not have, or a value of another type, is a fault.
func (d Definition) DecodeSettings(into any) error {
	if len(d.Settings) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(d.Settings))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var mistyped *json.UnmarshalTypeError
	switch {
	case err == nil:
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return Faultf(d.Driver, "more than one value")
		}
		return nil
	case errors.As(err, &mistyped) && mistyped.Field == "":
		return Faultf(d.Driver, "want fields, found: %s", mistyped.Value)
	case errors.As(err, &mistyped):
		return Faultf(d.Driver+"."+mistyped.Field, "want %s, found: %s", wanted(mistyped), mistyped.Value)
	}
	// The library has no type for this one.
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		name = strings.Trim(name, `"`)
		return Faultf(d.Driver+"."+name, "the field is unknown to the driver %s", d.Driver)
	}
	return Faultf(d.Driver, "%s", strings.TrimPrefix(err.Error(), "json: "))
}

// wanted names the type of a field in the words of a definition.
func wanted(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); {
	case kind == "slice":
		return "a list"
	case kind == "struct":
		return "fields"
	case kind == "bool":
		return "true or false"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	default:
		return "a text"
	}
}
