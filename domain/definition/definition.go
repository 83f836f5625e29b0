// Package definition reads and writes the files that define domains: YAML, of which JSON is a part.
//
// A field that it does not know, or a value that no driver could make anything of, is an error that names the file,
// the line and the column. It does not know which volumes and hosts there are.
package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/strictyaml"
	"github.com/holdfast-storage/holdfast/volume"
)

// Definition is all that a file says of a domain.
type Definition struct {
	Name         string
	Driver       string
	Machine      guest.Machine
	Policy       guest.Policy
	Volumes      []guest.Volume
	Hosts        []string
	AntiAffinity string
	Settings     json.RawMessage // what stands below the word of the driver, as JSON
}

// guest returns what the driver is told.
func (d Definition) guest() guest.Definition {
	return guest.Definition{Name: d.Name, Driver: d.Driver, Machine: d.Machine, Volumes: d.Volumes,
		Settings: d.Settings}
}

// Parse reads the one definition in text; name is what errors call the file.
func Parse(name string, text []byte) (Definition, error) {
	top, err := strictyaml.Read(name, text)
	if errors.Is(err, strictyaml.ErrEmpty) {
		return Definition{}, fmt.Errorf("%s holds no definition; `holdfast domain define --help` shows one", name)
	} else if err != nil {
		return Definition{}, err
	}
	d, err := decode(top)
	if err != nil {
		return Definition{}, placed(name, top, err)
	}
	return d, nil
}

func decode(top *yaml.Node) (Definition, error) {
	if top.Kind != yaml.MappingNode {
		return Definition{}, guest.Faultf("", "a definition is a group of fields, as in name: web1")
	}
	settings, common := split(top)
	var f file
	if err := strictyaml.Fill(&f, common); err != nil {
		return Definition{}, err
	}
	if err := volume.CheckName("domain", f.Name); err != nil {
		return Definition{}, guest.Faultf("name", "%v", err)
	}
	if f.Driver == "" {
		return Definition{}, guest.Faultf("driver", "domain %s names no driver: add one, as in driver: exec", f.Name)
	}
	own, err := ownSettings(f.Driver, settings)
	if err != nil {
		return Definition{}, err
	}
	d, err := f.definition(own)
	if err != nil {
		return Definition{}, err
	}
	return d, d.check()
}

// split takes the settings of drivers out of a definition, each below its driver's word.
func split(top *yaml.Node) (settings []strictyaml.Field, common *yaml.Node) {
	words := domain.Words()
	rest := *top
	rest.Content = nil
	for _, f := range strictyaml.Fields(top) {
		if slices.Contains(words, f.Key.Value) {
			settings = append(settings, f)
		} else {
			rest.Content = append(rest.Content, f.Key, f.Value)
		}
	}
	return settings, &rest
}

// ownSettings returns the settings of the driver as JSON. Those of another one are an error: whoever wrote them
// believes that they are heeded.
func ownSettings(driver string, settings []strictyaml.Field) (json.RawMessage, error) {
	var own json.RawMessage
	for _, f := range settings {
		word := f.Key.Value
		if word != driver {
			return nil, strictyaml.At(f.Key, "these are settings of the driver %s, but the driver is %s", word, driver)
		}
		if own != nil {
			return nil, strictyaml.At(f.Key, "the field %s is given twice", word)
		}
		var value map[string]any
		if f.Value.Tag == "!!null" || f.Value.Decode(&value) != nil {
			return nil, strictyaml.At(f.Value, "want fields with names, as in %s: {…}", word)
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, strictyaml.At(f.Value, "%v", err)
		}
		own = text
	}
	return own, nil
}

// check returns the first thing that is wrong with a definition, as far as it can be told without a cluster.
func (d Definition) check() error {
	if err := d.Policy.Check(); err != nil {
		return err
	}
	if d.AntiAffinity != "" {
		if err := volume.CheckName("anti_affinity group", d.AntiAffinity); err != nil {
			return guest.Faultf("anti_affinity", "%v", err)
		}
	}
	for i, v := range d.Volumes {
		if err := volume.CheckName("volume", v.Name); err != nil {
			return guest.Faultf(fmt.Sprintf("volumes[%d].name", i), "%v", err)
		}
	}
	for i, host := range d.Hosts {
		if err := volume.CheckName("host", host); err != nil {
			return guest.Faultf(fmt.Sprintf("hosts[%d]", i), "%v", err)
		}
	}
	return domain.Check(d.guest())
}

// placed words an error with the place in the file that it is about.
func placed(name string, top *yaml.Node, err error) error {
	var fault *guest.Fault
	if errors.As(err, &fault) {
		return strictyaml.Placed(name, top, fault.Path, err)
	}
	return strictyaml.Placed(name, top, "", err)
}

// Format writes a definition as YAML that Parse reads.
func Format(d Definition) ([]byte, error) {
	text, err := indented(fileOf(d))
	if err != nil || len(d.Settings) == 0 {
		return text, err
	}
	var settings any
	decoder := json.NewDecoder(bytes.NewReader(d.Settings))
	decoder.UseNumber()
	if err := decoder.Decode(&settings); err != nil {
		return nil, fmt.Errorf("domain %s: the settings of its driver: %w", d.Name, err)
	}
	own, err := indented(map[string]any{d.Driver: plain(settings)})
	return append(text, own...), err
}

func indented(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := errors.Join(encoder.Encode(value), encoder.Close())
	return text.Bytes(), err
}

// plain turns the numbers of a JSON value into those that YAML writes as they are: a whole number stays one.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole
		}
		if fraction, err := v.Float64(); err == nil {
			return fraction
		}
		return v.String()
	case map[string]any:
		for key := range v {
			v[key] = plain(v[key])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return value
}
