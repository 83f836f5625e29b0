package guest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecodeSettings(t *testing.T) {
	type settings struct {
		Command []string `json:"command"`
		Size    int      `json:"size"`
		Name    string   `json:"name"`
		Loud    bool     `json:"loud"`
		Inner   struct {
			A int `json:"a"`
		} `json:"inner"`
	}
	for text, want := range map[string]string{
		``:                   "",
		`{}`:                 "",
		`{"size": 3}`:        "",
		`{"speed": 3}`:       "exec.speed: the field is unknown to the driver exec",
		`{"size": "3"}`:      "exec.size: want a whole number, found: string",
		`{"name": 3}`:        "exec.name: want a text, found: number",
		`{"command": "x"}`:   "exec.command: want a list, found: string",
		`{"loud": 1}`:        "exec.loud: want true or false, found: number",
		`{"inner": 1}`:       "exec.inner: want fields, found: number",
		`{"inner":{"a":""}}`: "exec.inner.a: want a whole number, found: string",
		`[]`:                 "exec: want fields, found: array",
		`{"size": 3} {}`:     "exec: more than one value",
		`{`:                  "exec: unexpected EOF",
	} {
		var s settings
		err := Definition{Driver: "exec", Settings: []byte(text)}.DecodeSettings(&s)
		if want == "" {
			require.NoError(t, err, text)
			continue
		}
		require.EqualError(t, err, want, text)
		var fault *Fault
		require.ErrorAs(t, err, &fault, text)
	}
}

func TestFault_ofTheWholeNamesNoField(t *testing.T) {
	require.EqualError(t, Faultf("", "it is empty"), "it is empty")
}
