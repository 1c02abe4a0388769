// Echo servers on Go's own netpoller: echo (echo | udp). Prints its port.
package main

import (
	"fmt"
	"net"
	"os"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func udp() {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(err)
	fmt.Println(conn.LocalAddr().(*net.UDPAddr).Port)
	buffer := make([]byte, 65536)
	for {
		n, from, err := conn.ReadFrom(buffer)
		must(err)
		conn.WriteTo(buffer[:n], from)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 65536)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func main() {
	if os.Args[1] == "udp" {
		udp()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		must(err)
		go echo(conn)
	}
}
