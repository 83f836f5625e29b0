package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// What a volume may be given can be asked for: the API takes the kind, the command has its flag and tells of it.
// node/engine holds that it is served.
func TestVolumeExport_hasEveryKind(t *testing.T) {
	field, ok := reflect.TypeFor[api.SetExport]().FieldByName("Kind")
	require.True(t, ok)
	var words []string
	cmd := volumeExport(nil)
	for _, kind := range volume.SettableExports() {
		words = append(words, string(kind))
		require.NotNil(t, cmd.Flags().Lookup(string(kind)), "--%s", kind)
		require.Contains(t, cmd.Use, "--"+string(kind))
		require.Contains(t, cmd.Example, "--"+string(kind))
	}
	require.ElementsMatch(t, words, strings.Split(field.Tag.Get("enum"), ","), "the kinds that the API takes")
}
