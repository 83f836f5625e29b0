package counter

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDisk_bootsAndHasRoomForItsVariable(t *testing.T) {
	require.Less(t, len(program()), 0x1fd, "the program ends before the byte that it keeps its disk in")
	require.Equal(t, []byte{0x55, 0xaa}, Disk()[510:512])
	require.Equal(t, []byte{0x10, 0x00}, program()[0x64:0x66], "where the program looks for the packet")
}

func TestReported(t *testing.T) {
	require.Empty(t, Reported(""))
	require.Equal(t, []uint64{10, 255}, Reported("SeaBIOS\r\n\n0000000a\nx000000ff\n00000100"))
}
