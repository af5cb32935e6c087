terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # The first that takes queues for messages of 1 MiB.
      version = ">= 6.8"
    }
  }
}
