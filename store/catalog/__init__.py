"""What is published: the seller, publications, their editions and files."""
