package nbd

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/netio"
)

// BenchmarkServer keeps a number of requests of one connection in flight, over a queue that does
// nothing, so that it measures the server alone. It reports allocations: none in steady state.
func BenchmarkServer(b *testing.B) {
	for _, c := range []struct {
		name  string
		cmd   command
		bytes int
		depth int
	}{
		{"read4k/depth1", cmdRead, 4096, 1},
		{"read4k/depth32", cmdRead, 4096, 32},
		{"write4k/depth1", cmdWrite, 4096, 1},
		{"write4k/depth32", cmdWrite, 4096, 32},
		{"read128k/depth32", cmdRead, 128 << 10, 32},
		{"write128k/depth32", cmdWrite, 128 << 10, 32},
	} {
		b.Run(c.name, func(b *testing.B) {
			limits := block.Limits{SizeBytes: 1 << 30, BlockBytes: 512, MaxBytes: 1 << 20}
			a, _ := serve(b, Options{Queue: idle{}, Limits: limits, Name: "root"})
			socket, _, _, err := connect(b.Context(), a, ClientOptions{})
			require.NoError(b, err)
			defer socket.Close()
			drive(b, socket, c.cmd, c.bytes, c.depth)
		})
		b.Run("tls/"+c.name, func(b *testing.B) {
			limits := block.Limits{SizeBytes: 1 << 30, BlockBytes: 512, MaxBytes: 1 << 20}
			s := serveTLS(b, Options{Queue: idle{}, Limits: limits, Name: "root", Waits: netio.NewWaits()})
			stream, _, _, err := connect(b.Context(), s.address, ClientOptions{TLS: s.ca.client(b, "guest")})
			require.NoError(b, err)
			defer stream.Close()
			drive(b, stream, c.cmd, c.bytes, c.depth)
		})
	}
}

// idle is a queue that completes every request at once.
type idle struct{}

func (idle) Submit(r *block.Request) { r.Complete(r, nil) }

func drive(b *testing.B, socket net.Conn, cmd command, bytes, depth int) {
	message := request{Type: cmd, Length: uint32(bytes)}.append(nil)
	answer := chunkHeaderBytes + chunkOffsetBytes + bytes
	if cmd == cmdWrite {
		message, answer = append(message, make([]byte, bytes)...), simpleReplyBytes
	}
	var burst []byte
	for range depth {
		burst = append(burst, message...)
	}
	answers := make([]byte, answer*depth)
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= depth {
		n := min(left, depth)
		sent := make(chan error, 1)
		if depth == 1 {
			_, err := socket.Write(burst)
			sent <- err
		} else {
			go func() { _, err := socket.Write(burst[:n*len(message)]); sent <- err }()
		}
		if _, err := io.ReadFull(socket, answers[:n*answer]); err != nil {
			b.Fatal(err)
		}
		if err := <-sent; err != nil {
			b.Fatal(err)
		}
	}
}
