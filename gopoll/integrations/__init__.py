"""What plugs gopoll into other programs; the only room that may import them."""
