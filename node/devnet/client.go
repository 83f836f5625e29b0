package devnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/rpc"
	"net/rpc/jsonrpc"
)

// Client is a Switch in another process. Close it.
type Client struct{ calls *rpc.Client }

// Dial connects to the switch that Serve offers on a socket.
func Dial(socket string) (*Client, error) {
	short, directory, err := shortened(socket)
	if err != nil {
		return nil, err
	}
	defer directory.Close()
	c, err := net.Dial("unix", short)
	if err != nil {
		// The short path would say nothing to anybody.
		return nil, fmt.Errorf("network: %s: no switch answers: %w", socket, errors.Unwrap(err))
	}
	return &Client{jsonrpc.NewClient(c)}, nil
}

// Close ends the connection. The switch goes on.
func (c *Client) Close() { _ = c.calls.Close() }

// On is Switch.On.
func (c *Client) On(node string, address netip.Addr, process int) (namespace string, err error) {
	err = c.call("On", OnArgs{node, address, process}, &namespace)
	return namespace, err
}

// Off is Switch.Off.
func (c *Client) Off(node string) error { return c.call("Off", node, &None{}) }

// Set is Switch.Set.
func (c *Client) Set(from, to string, r Rules) error {
	return c.call("Set", Link{from, to, r}, &None{})
}

// Heal is Switch.Heal.
func (c *Client) Heal(node string) error { return c.call("Heal", node, &None{}) }

// Show is Switch.Show.
func (c *Client) Show() ([]Port, []Link, error) {
	var all Shown
	err := c.call("Show", None{}, &all)
	return all.Ports, all.Links, err
}

func (c *Client) call(method string, args, reply any) error {
	if err := c.calls.Call("Switch."+method, args, reply); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return nil
}
